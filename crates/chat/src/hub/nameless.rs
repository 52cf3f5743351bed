//! Those who listen without a name: together and of one address they hold only so many of the connections, so that users
//! with a name find a place. Knows who is nameless by the name that such a connection is given.

use std::net::IpAddr;

use hashbrown::HashMap;
use room::UserId;
use room::chat::Refusal;

use crate::Settings;

/// What the names of those begin with that have none: no user can be called so.
const PREFIX: &str = "@TIM#ANON-";

/// A name for a connection without one.
#[must_use]
pub fn name(session: u64) -> Option<UserId> {
    UserId::parse(&format!("{PREFIX}{session:016x}")).ok()
}

/// Whether this is such a name.
#[must_use]
pub fn is(user: &UserId) -> bool {
    user.as_str().starts_with(PREFIX)
}

/// How many there are, and of which addresses.
#[derive(Debug, Default)]
pub(super) struct Nameless {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

impl Nameless {
    /// Counts one more, if one may be there.
    pub fn enter(&mut self, from: Option<IpAddr>, settings: &Settings) -> Result<(), Refusal> {
        if self.all >= (settings.max_connections / 2).max(1) {
            return Err(Refusal::Overloaded);
        }
        if let Some(party) = party(from) {
            let count = self.of.entry(party).or_default();
            if *count >= settings.address_listeners {
                return Err(Refusal::Overloaded);
            }
            *count += 1;
        }
        self.all += 1;
        Ok(())
    }

    /// One that was counted is gone.
    pub fn leave(&mut self, from: Option<IpAddr>) {
        self.all = self.all.saturating_sub(1);
        let Some(party) = party(from) else { return };
        if let Some(count) = self.of.get_mut(&party) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&party);
            }
        }
    }
}

/// Whom an address stands for: itself, or its network of IPv6. This machine itself is not bounded.
fn party(from: Option<IpAddr>) -> Option<IpAddr> {
    match from?.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => Some(IpAddr::V6((u128::from(address) >> 64 << 64).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_hold_half_of_the_places_and_an_address_only_some() {
        let settings = Settings { max_connections: 10, address_listeners: 2, ..Settings::default() };
        let mut nameless = Nameless::default();
        let at = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let full = Err(Refusal::Overloaded);
        assert_eq!(nameless.enter(at("192.0.2.1"), &settings), Ok(()));
        assert_eq!(nameless.enter(at("::ffff:192.0.2.1"), &settings), Ok(()));
        assert_eq!(nameless.enter(at("192.0.2.1"), &settings), full);
        assert_eq!(nameless.enter(at("2001:db8::1"), &settings), Ok(()));
        assert_eq!(nameless.enter(at("2001:db8::2"), &settings), Ok(()));
        assert_eq!(nameless.enter(at("2001:db8::3"), &settings), full, "a network counts as one");
        assert_eq!(nameless.enter(at("127.0.0.1"), &settings), Ok(()));
        assert_eq!(nameless.enter(None, &settings), full, "half of all");
        nameless.leave(at("192.0.2.1"));
        assert_eq!(nameless.enter(at("192.0.2.1"), &settings), Ok(()));
        for from in ["192.0.2.1", "192.0.2.1", "2001:db8::9", "2001:db8::9", "::1"] {
            nameless.leave(at(from));
        }
        assert!(nameless.all == 0 && nameless.of.is_empty(), "{nameless:?}");
    }
}
