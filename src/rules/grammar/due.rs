//! By when a task wants doing: a span of time from when it is made.

use std::fmt;

/// Months and days are kept as such, since their length depends on the calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub months: u32,
    pub days: u32,
    pub seconds: u32,
}

/// Ten years, in each unit: beyond lies a slip of the keyboard.
const MAX_MONTHS: u32 = 120;
const MAX_DAYS: u32 = 3_660;
const MAX_SECONDS: u32 = MAX_DAYS * 24 * 60 * 60;

impl Due {
    /// `30m`, `2h`, `3d`, `1w`, or an ISO 8601 duration in whole numbers (`P1M2DT3H`).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        let Some(iso) = text.strip_prefix('P') else {
            let (amount, unit) = number(&text)?;
            return match unit {
                "M" | "H" => Self::default().plus(amount, unit, true),
                "D" | "W" => Self::default().plus(amount, unit, false),
                _ => None,
            };
        };
        let (date, time) = match iso.split_once('T') {
            Some((date, time)) => (date, Some(time).filter(|time| !time.is_empty())?),
            None => (iso, ""),
        };
        if iso.is_empty() {
            return None;
        }
        let due = Self::default().plus_all(date, "YMWD", false)?;
        due.plus_all(time, "HMS", true)
    }

    /// Amounts with units, which must stand in the given order.
    fn plus_all(self, mut text: &str, mut order: &str, of_day: bool) -> Option<Self> {
        let mut due = self;
        while !text.is_empty() {
            let (amount, rest) = number(text)?;
            let unit = rest.get(..1)?;
            order = order.split_once(unit)?.1;
            due = due.plus(amount, unit, of_day)?;
            text = rest.get(1..)?;
        }
        Some(due)
    }

    fn plus(self, amount: u32, unit: &str, of_day: bool) -> Option<Self> {
        let mut due = self;
        let (sum, factor, most) = match (unit, of_day) {
            ("Y", false) => (&mut due.months, 12, MAX_MONTHS),
            ("M", false) => (&mut due.months, 1, MAX_MONTHS),
            ("W", false) => (&mut due.days, 7, MAX_DAYS),
            ("D", false) => (&mut due.days, 1, MAX_DAYS),
            ("H", true) => (&mut due.seconds, 60 * 60, MAX_SECONDS),
            ("M", true) => (&mut due.seconds, 60, MAX_SECONDS),
            ("S", true) => (&mut due.seconds, 1, MAX_SECONDS),
            _ => return None,
        };
        *sum = amount.checked_mul(factor)?.checked_add(*sum)?;
        (*sum <= most).then_some(due)
    }
}

/// The number that a text begins with, and the rest.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

impl fmt::Display for Due {
    /// As ISO 8601 has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("PT0S");
        }
        f.write_str("P")?;
        write_some(f, self.months, "M")?;
        write_some(f, self.days, "D")?;
        if self.seconds > 0 {
            f.write_str("T")?;
            write_some(f, self.seconds / 3_600, "H")?;
            write_some(f, self.seconds / 60 % 60, "M")?;
            write_some(f, self.seconds % 60, "S")?;
        }
        Ok(())
    }
}

fn write_some(f: &mut fmt::Formatter<'_>, amount: u32, unit: &str) -> fmt::Result {
    match amount {
        0 => Ok(()),
        _ => write!(f, "{amount}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_and_iso_forms_are_read() {
        for (text, canonical) in [
            ("30m", "PT30M"),
            ("2h", "PT2H"),
            ("3d", "P3D"),
            ("1W", "P7D"),
            ("90m", "PT1H30M"),
            ("P1Y2M3W4DT5H6M7S", "P14M25DT5H6M7S"),
            ("pt36h", "PT36H"),
            ("P10Y", "P120M"),
            ("0d", "PT0S"),
        ] {
            let due = Due::parse(text).expect(text);
            assert_eq!(due.to_string(), canonical);
            assert_eq!(Due::parse(canonical), Some(due));
        }
    }

    #[test]
    fn others_are_not() {
        for text in [
            "",
            "3",
            "d",
            "3x",
            "-3d",
            "1.5h",
            "P",
            "PT",
            "P3DT",
            "P1D1M",
            "P1H",
            "PT1D",
            "11y",
            "P11Y",
            "3 d",
            "99999999999d",
            "4294967295w",
            "P1M1M",
            "3s",
            "3dd",
            "P3é",
            "3é",
        ] {
            assert_eq!(Due::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_due_is_read_back(months in 0..=MAX_MONTHS, days in 0..=MAX_DAYS, seconds in 0..=MAX_SECONDS) {
            let due = Due { months, days, seconds };
            prop_assert_eq!(Due::parse(&due.to_string()), Some(due));
        }
    }
}
