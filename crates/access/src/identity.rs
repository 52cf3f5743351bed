//! Who a user is: checks and makes user signatures with the app's keys. Knows no sessions and no rooms.

use room::{Millis, UserId};
use serde::{Deserialize, Serialize};
use sign::room_key::{self, RoomKey};
use sign::usersig::{self, Expected, Grant, Keys, v1, v2};

use sign::Secret;

/// `[im]`: the app's account, under the names that the first servers' configuration has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The app's id at Tencent Cloud, or any number of your own.
    #[serde(rename = "sdkAppID")]
    pub sdk_app_id: u64,
    /// The account type, as first-generation clients send it.
    #[serde(rename = "accountType")]
    pub account_type: String,
    /// The chat service's administrator; no signature is made for it.
    pub administrator: String,
    /// PEM of the key that signs version 1 signatures.
    #[serde(rename = "privateKey")]
    pub private_key: Secret,
    /// PEM of the key that checks them; derived from `privateKey` if empty.
    #[serde(rename = "publicKey")]
    pub public_key: Secret,
    /// The secret of version 2 signatures.
    #[serde(rename = "secretKey")]
    pub secret_key: Secret,
    /// Seconds for which a signature given by `get_login_info` is good.
    #[serde(rename = "userSigLifetime")]
    pub usersig_lifetime: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sdk_app_id: 0,
            account_type: "0".into(),
            administrator: "administrator".into(),
            private_key: Secret::default(),
            public_key: Secret::default(),
            secret_key: Secret::default(),
            usersig_lifetime: 30 * 24 * 3600,
        }
    }
}

/// The app's keys, ready for use.
#[derive(Debug)]
pub struct Identity {
    keys: Keys,
    settings: Settings,
}

impl Identity {
    /// Reads the keys.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let pem = |name: &str, key: &Secret| (name.to_owned(), key.expose().to_owned(), key.is_empty());
        let (name, text, none) = pem("im.privateKey", &settings.private_key);
        let private =
            (!none).then(|| v1::PrivateKey::from_pem(&text)).transpose().map_err(|e| format!("{name}: {e}"))?;
        let (name, text, none) = pem("im.publicKey", &settings.public_key);
        let public = (!none).then(|| v1::PublicKey::from_pem(&text)).transpose().map_err(|e| format!("{name}: {e}"))?;
        let secret = (!settings.secret_key.is_empty())
            .then(|| v2::Key::new(&settings.secret_key))
            .transpose()
            .map_err(|e| format!("im.secretKey: {e}"))?;
        let keys = Keys::new(private, public, secret).map_err(|e| format!("im.publicKey: {e}"))?;
        Ok(Self { keys, settings })
    }

    /// The app's id.
    #[must_use]
    pub fn sdk_app_id(&self) -> u64 {
        self.settings.sdk_app_id
    }

    /// The account type.
    #[must_use]
    pub fn account_type(&self) -> &str {
        &self.settings.account_type
    }

    /// Whether this is the chat service's administrator.
    #[must_use]
    pub fn is_administrator(&self, user: &str) -> bool {
        user == self.settings.administrator
    }

    /// Checks a user's signature.
    ///
    /// # Errors
    /// Which of the four checks failed.
    pub fn check(&self, sdk_app_id: &str, user: &str, user_sig: &str, now: Millis) -> Result<(), sign::Invalid> {
        if sdk_app_id.parse() != Ok(self.settings.sdk_app_id) {
            return Err(sign::Invalid::Mismatch("sdkAppID"));
        }
        let expected =
            Expected { sdk_app_id: self.settings.sdk_app_id, user_id: user, account_type: None, now: now.secs() };
        let claims = usersig::verify(user_sig, &self.keys, &expected)?;
        // A room key is signed like a login, and is given to users who may enter a room.
        if claims.userbuf.is_some_and(|userbuf| RoomKey::parse(&userbuf).is_ok()) {
            Err(sign::Invalid::Mismatch("a privateMapKey is no userSig"))
        } else {
            Ok(())
        }
    }

    /// A privateMapKey: what a user may do in a room of calls, for as long as a userSig is good.
    ///
    /// # Errors
    /// There is no key that signs, or the app's id or account type does not fit into one.
    pub fn room_key(&self, user: &UserId, room: room_key::Room, now: Millis) -> Result<String, sign::Invalid> {
        let until = now.secs().saturating_add(self.settings.usersig_lifetime);
        let key = RoomKey {
            user_id: user.as_str().to_owned(),
            sdk_app_id: u32::try_from(self.settings.sdk_app_id).map_err(|_| sign::Invalid::Malformed("sdkAppID"))?,
            room,
            expires_at: u32::try_from(until).unwrap_or(u32::MAX),
            privileges: room_key::EVERYTHING,
            // Only the keys of version 1 know account types.
            account_type: match self.keys.v2() {
                Some(_) => 0,
                None => self.settings.account_type.parse().unwrap_or(0),
            },
        };
        match (self.keys.v2(), self.keys.v1_private()) {
            (Some(secret), _) => key.sign_v2(secret, now.secs()),
            (None, Some(private)) => key.sign_v1(private, now.secs()),
            (None, None) => Err(sign::Invalid::NoKey("signing a privateMapKey")),
        }
    }

    /// Signs for a user.
    ///
    /// # Errors
    /// There is no key that signs.
    pub fn sign(&self, user: &UserId, now: Millis) -> Result<String, sign::Invalid> {
        self.sign_for(user, self.settings.usersig_lifetime, now)
    }

    /// Signs for a user, for so many seconds.
    ///
    /// # Errors
    /// There is no key that signs.
    pub fn sign_for(&self, user: &UserId, lifetime: u64, now: Millis) -> Result<String, sign::Invalid> {
        let grant = Grant {
            sdk_app_id: self.settings.sdk_app_id,
            user_id: user.as_str(),
            issued_at: now.secs(),
            lifetime,
            userbuf: None,
        };
        self.keys.sign(&grant, &self.settings.account_type)
    }
}
