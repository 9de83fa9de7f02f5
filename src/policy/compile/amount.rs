//! Sizes and numbers of `[limits]`, in the words of `docker run`: `"4GiB"`, `"512m"`, `1024`, `1.5`; and times, as `"4h"`.

use std::time::Duration;

use crate::policy::file::value::Amount;

/// Bytes; as for docker, `k`, `kb` and `KiB` are all 1024
pub fn bytes(amount: &Amount) -> Result<i64, String> {
    let text = match amount {
        Amount::Integer(bytes) => return positive(*bytes),
        Amount::Float(_) => return Err("a number of bytes has no fraction; write a size such as \"1.5GiB\"".to_owned()),
        Amount::Text(text) => text.trim(),
    };
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        other => return Err(format!("`{other}` is no unit; use KiB, MiB, GiB or TiB")),
    };
    let number: f64 = number.parse().map_err(|_| "write a size such as \"4GiB\" or \"512MiB\"".to_owned())?;
    scaled(number, f64::from(2_u32).powi(shift))
}

/// CPUs in units of 10⁻⁹
pub fn nano_cpus(amount: &Amount) -> Result<i64, String> {
    match amount {
        Amount::Integer(cpus) => positive(*cpus)?.checked_mul(1_000_000_000).ok_or_else(|| TOO_LARGE.to_owned()),
        Amount::Float(cpus) => scaled(*cpus, 1e9),
        Amount::Text(text) => match text.trim().parse() {
            Ok(cpus) => scaled(cpus, 1e9),
            Err(_) => Err("write a number of CPUs such as 1.5".to_owned()),
        },
    }
}

/// A whole number above zero
pub fn count(amount: &Amount) -> Result<i64, String> {
    match amount {
        Amount::Integer(count) => positive(*count),
        Amount::Float(_) | Amount::Text(_) => Err("write a whole number such as 1024".to_owned()),
    }
}

/// A whole number, also none at all
pub fn most(amount: &Amount) -> Result<i64, String> {
    match amount {
        Amount::Integer(0) => Ok(0),
        Amount::Integer(..0) => Err("it must not be below zero; leave the key out for no limit".to_owned()),
        other => count(other),
    }
}

/// A time within bounds: a whole number and `s`, `m`, `h` or `d`
pub fn time(amount: &Amount, least: Duration, most: Duration) -> Result<Duration, String> {
    const EXAMPLE: &str = "write a time such as \"4h\", \"90s\" or \"1d\"";
    let Amount::Text(text) = amount else { return Err(EXAMPLE.to_owned()) };
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = UNITS.iter().find(|(word, _)| *word == unit).map(|(_, seconds)| *seconds);
    let time = number.parse::<u64>().ok().zip(seconds).and_then(|(number, seconds)| number.checked_mul(seconds));
    let time = Duration::from_secs(time.ok_or_else(|| EXAMPLE.to_owned())?);
    let shown = |time: Duration| {
        let fits = |(word, seconds): &(&str, u64)| {
            time.as_secs().is_multiple_of(*seconds).then(|| format!("{}{word}", time.as_secs() / seconds))
        };
        UNITS.iter().rev().find_map(fits).unwrap_or_default()
    };
    match time {
        time if time < least => Err(format!("it must be at least {}", shown(least))),
        time if time > most => Err(format!("it must be at most {}", shown(most))),
        time => Ok(time),
    }
}

fn positive(number: i64) -> Result<i64, String> {
    if number > 0 { Ok(number) } else { Err("it must be above zero; leave the key out for no limit".to_owned()) }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn scaled(number: f64, unit: f64) -> Result<i64, String> {
    let scaled = number * unit;
    if !scaled.is_finite() || scaled > LARGEST {
        return Err(TOO_LARGE.to_owned());
    }
    positive(scaled as i64)
}

/// Units of time, in seconds
const UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
const TOO_LARGE: &str = "it is too large";
/// A float below `i64::MAX`
const LARGEST: f64 = 9.0e18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_does() {
        let read = |text: &str| bytes(&Amount::Text(text.to_owned()));
        for (text, expected) in [
            ("4GiB", 4 << 30),
            ("4g", 4 << 30),
            ("4GB", 4 << 30),
            ("1.5 MiB", 3 << 19),
            ("512k", 512 << 10),
            ("7", 7),
            ("7b", 7),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        for text in ["", "GiB", "4X", "-1g", "0", "1e9", "9999999999t", "4 G i B", "NaN"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(bytes(&Amount::Integer(5)), Ok(5));
        assert!(bytes(&Amount::Integer(0)).is_err());
    }

    #[test]
    fn cpus_are_read_with_a_fraction() {
        assert_eq!(nano_cpus(&Amount::Float(1.5)), Ok(1_500_000_000));
        assert_eq!(nano_cpus(&Amount::Integer(2)), Ok(2_000_000_000));
        assert_eq!(nano_cpus(&Amount::Text("0.5".to_owned())), Ok(500_000_000));
        for bad in [Amount::Float(0.0), Amount::Float(f64::NAN), Amount::Integer(-1), Amount::Text("2g".to_owned())] {
            assert!(nano_cpus(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_have_a_unit_and_bounds() {
        let read =
            |text: &str| time(&Amount::Text(text.to_owned()), Duration::from_secs(10), Duration::from_secs(86_400));
        for (text, seconds) in [("10s", 10), ("90m", 5400), ("4h", 14_400), ("1d", 86_400)] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "4", "4 h", "-1h", "1.5h", "1w", "99999999999999999999d", "213503982334601d"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read("9s"), Err("it must be at least 10s".to_owned()));
        assert_eq!(read("25h"), Err("it must be at most 1d".to_owned()));
        assert!(time(&Amount::Integer(10), Duration::ZERO, Duration::MAX).is_err());
    }
}
