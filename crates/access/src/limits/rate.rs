//! A rate as settings write it, and who it counts: an address, or the network of one. Pure.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// So many in a second, minute or hour in the long run, and so many at once: `20/s 100`. Empty: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(Option<Known>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    count: u32,
    unit: Unit,
    burst: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Rate {
    /// So many a second, and so many at once.
    #[must_use]
    pub const fn per_second(count: u32, burst: u32) -> Self {
        Self(Some(Known { count, unit: Unit::Second, burst }))
    }

    /// So many a minute, and so many at once.
    #[must_use]
    pub const fn per_minute(count: u32, burst: u32) -> Self {
        Self(Some(Known { count, unit: Unit::Minute, burst }))
    }

    /// Microseconds that one costs, and how far ahead of an even pace one may run; nothing if there is no limit.
    #[must_use]
    pub fn pace(self) -> Option<(u64, u64)> {
        let Known { count, unit, burst } = self.0?;
        let second = 1_000_000;
        let unit = match unit {
            Unit::Second => second,
            Unit::Minute => 60 * second,
            Unit::Hour => 3600 * second,
        };
        let every = unit / u64::from(count);
        Some((every, every.saturating_mul(u64::from(burst).saturating_sub(1))))
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let parse = || {
            let (rate, burst) = text.trim().split_once(' ')?;
            let (count, unit) = rate.split_once('/')?;
            let unit = match unit {
                "s" => Unit::Second,
                "min" => Unit::Minute,
                "h" => Unit::Hour,
                _ => return None,
            };
            let count = count.parse().ok()?;
            let burst = burst.trim().parse().ok()?;
            // Slower than a microsecond each, so that one always costs something.
            (count > 0 && count <= 1_000_000 && burst > 0).then_some(Known { count, unit, burst })
        };
        let known = parse();
        known.map(|known| Self(Some(known))).ok_or_else(|| {
            format!("\"{text}\" is no rate: \"20/s 100\" is 20 a second (or /min, /h) in the long run and 100 at once")
        })
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Known { count, unit, burst }) = self.0 else { return Ok(()) };
        let unit = match unit {
            Unit::Second => "s",
            Unit::Minute => "min",
            Unit::Hour => "h",
        };
        write!(f, "{count}/{unit} {burst}")
    }
}

/// Who an address counts as: itself, or with IPv6 the network (/64) that its owner has all addresses of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Party(u64, bool);

impl From<IpAddr> for Party {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u32::from(v4).into(), false),
            // The upper half is the network.
            IpAddr::V6(v6) => Self((u128::from(v6) >> 64) as u64, true),
        }
    }
}

impl Party {
    /// A number that differs between neighbours, to deal parties out by.
    pub(super) const fn spread(self) -> usize {
        (self.0 ^ self.0 >> 7 ^ self.0 >> 16 ^ self.0 >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for (text, pace) in [
            ("20/s 100", (50_000, 99 * 50_000)),
            ("30/min 1", (2_000_000, 0)),
            ("1/h 2", (3_600_000_000, 3_600_000_000)),
        ] {
            let rate = Rate::try_from(text.to_owned()).unwrap();
            assert_eq!(rate.pace(), Some(pace), "{text}");
            assert_eq!(rate.to_string(), text);
        }
        assert_eq!(Rate::try_from(String::new()).unwrap().pace(), None);
        for bad in ["20", "20/s", "0/s 1", "1/s 0", "1/day 1", "x/s 1", "-1/s 1", "2000000/s 1", "1/s 99999999999"] {
            assert!(Rate::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_is_one_party() {
        let party = |text: &str| Party::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(party("2001:db8:1:2::1"), party("2001:db8:1:2:ffff::9"));
        assert_ne!(party("2001:db8:1:2::1"), party("2001:db8:1:3::1"));
        assert_eq!(party("::ffff:10.0.0.1"), party("10.0.0.1"));
        assert_ne!(party("10.0.0.1"), party("10.0.0.2"));
        assert_ne!(party("0.0.0.1"), party("0:0:0:1::"));
    }
}
