//! What the operating system says of this process, read when it is asked for. Nothing where there is no
//! `/proc`.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts};

/// Memory and open descriptors, under the names that every Prometheus client uses.
pub struct Process {
    memory: Gauge,
    descriptors: Gauge,
}

impl Process {
    pub fn new() -> Self {
        let gauge =
            |name: &str, help: &str| Gauge::with_opts(Opts::new(name, help)).expect("a sound name");
        Self {
            memory: gauge(
                "process_resident_memory_bytes",
                "Memory that the process holds",
            ),
            descriptors: gauge("process_open_fds", "Open files and connections"),
        }
    }
}

/// `VmRSS`, which is told in units of 1,024 bytes.
fn resident_kib() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn open_descriptors() -> Option<u32> {
    u32::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [self.memory.desc(), self.descriptors.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (Some(memory), Some(descriptors)) = (resident_kib(), open_descriptors()) else {
            return Vec::new();
        };
        self.memory.set(f64::from(memory) * 1024.0);
        self.descriptors.set(f64::from(descriptors));
        [self.memory.collect(), self.descriptors.collect()].concat()
    }
}
