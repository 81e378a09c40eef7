#!/usr/bin/env python3
"""Writes an mbox of ordinary mail: make_mbox.py MEGABYTES > mail.mbox. The same bytes every time."""

import random
import sys

WORDS = (
    "account advisor balance bond budget call client college contract cost family fund goal house income "
    "insurance interest invest kids loan market meeting month mortgage move paper pension plan portfolio price "
    "quarter question rate report retire return review risk save school sell share shop summer tax thanks time "
    "transfer trip trust update value wait week year the a of to and in that it is was for on are with as at be "
    "this have from or had by not but what some we can out other were all there when up use your how said"
).split()


def sentence(rng):
    words = [rng.choice(WORDS) for _ in range(rng.randint(6, 18))]
    return " ".join(words).capitalize() + "."


def mail(rng, number):
    person = f"person{rng.randint(1, 400)}"
    paragraphs = [" ".join(sentence(rng) for _ in range(rng.randint(2, 6))) for _ in range(rng.randint(2, 6))]
    quoted = "\n".join("> " + sentence(rng) for _ in range(rng.randint(0, 8)))
    day = f"{rng.randint(1, 28):02d} Mar 20{rng.randint(15, 26)}"
    return (
        f"From {person}@example.com Mon Mar  1 00:00:00 2021\n"
        f"From: {person.capitalize()} Sample <{person}@example.com>\nTo: Alex Morgan <alex@example.org>\n"
        f"Date: Mon, {day} 10:{number % 60:02d}:00 +0000\nMessage-ID: <{number}.bench@example.com>\n"
        f"Subject: {sentence(rng)[:60]}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
        + "\n\n".join(paragraphs)
        + f"\n\nOn {day}, Alex Morgan wrote:\n{quoted}\n-- \n{person}\n\n"
    )


def main():
    rng = random.Random(1)
    left = int(sys.argv[1]) << 20
    number = 0
    while left > 0:
        text = mail(rng, number)
        sys.stdout.write(text)
        left -= len(text)
        number += 1
    print(f"{number} mails", file=sys.stderr)


main()
