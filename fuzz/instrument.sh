#!/bin/sh
# Stands before rustc: has the program and the targets compiled with libFuzzer's counters, and all else as ever. These
# flags are stable ones, so no nightly compiler is needed.
case " $* " in
*" --crate-name paraplanner "* | *" --crate-name parsers "*)
    exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"
