//! privateMapKey: a userSig whose userbuf says which room its user may enter and what they may do
//! there. Owns the layout of those bytes; the userSig around them is [`crate::usersig`]'s.
//! Source: Tencent's "Enabling Advanced Permission Control" of TRTC. All numbers are big-endian.

use crate::Invalid;
use crate::usersig::{self, Expected, Grant, Keys, v1, v2};

/// May create the room.
pub const CREATE: u32 = 1;
/// May enter the room.
pub const ENTER: u32 = 2;
/// May send sound.
pub const SEND_AUDIO: u32 = 4;
/// May hear.
pub const RECEIVE_AUDIO: u32 = 8;
/// May send video.
pub const SEND_VIDEO: u32 = 16;
/// May see.
pub const RECEIVE_VIDEO: u32 = 32;
/// May send a second video, such as a shared screen.
pub const SEND_SCREEN: u32 = 64;
/// May see the second video.
pub const RECEIVE_SCREEN: u32 = 128;
/// Everything: what hosts get.
pub const EVERYTHING: u32 = 255;
/// Enter, hear and see: what an audience gets.
pub const AUDIENCE: u32 = ENTER | RECEIVE_AUDIO | RECEIVE_VIDEO;

/// The longest textual room id, in bytes.
pub const MAX_ROOM: usize = 255;

/// The room a key is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// A room with a 32-bit number.
    Number(u32),
    /// A room with a textual id of 1 to [`MAX_ROOM`] bytes.
    Text(String),
}

/// Who may do what in which room, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomKey {
    /// The user.
    pub user_id: String,
    /// The app.
    pub sdk_app_id: u32,
    /// The room.
    pub room: Room,
    /// The last Unix second at which the key is good.
    pub expires_at: u32,
    /// A sum of [`CREATE`] … [`RECEIVE_SCREEN`].
    pub privileges: u32,
    /// 0, unless a version-1 app has one of its own.
    pub account_type: u32,
}

impl RoomKey {
    /// Whether all of `rights` are granted.
    pub fn allows(&self, rights: u32) -> bool {
        self.privileges & rights == rights
    }

    /// The userbuf. Fails when a text is longer than its bound or a room id is empty.
    pub fn encode(&self) -> Result<Vec<u8>, Invalid> {
        if self.user_id.len() > usersig::MAX_USER_ID {
            return Err(Invalid::Malformed("userID"));
        }
        let account_len = u16::try_from(self.user_id.len()).map_err(|_| Invalid::Malformed("userID"))?;
        let (kind, number, text) = match &self.room {
            Room::Number(number) => (0, *number, None),
            Room::Text(text) if text.is_empty() || text.len() > MAX_ROOM => {
                return Err(Invalid::Malformed("roomID"));
            }
            Room::Text(text) => (1, 0, Some(text)),
        };
        let mut bytes = vec![kind];
        bytes.extend(account_len.to_be_bytes());
        bytes.extend(self.user_id.as_bytes());
        for field in [self.sdk_app_id, number, self.expires_at, self.privileges, self.account_type] {
            bytes.extend(field.to_be_bytes());
        }
        if let Some(text) = text {
            bytes.extend(u16::try_from(text.len()).map_err(|_| Invalid::Malformed("roomID"))?.to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        Ok(bytes)
    }

    /// Reads a userbuf; every byte must be accounted for, and the bounds are those of [`RoomKey::encode`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut rest = Reader(bytes);
        let kind = rest.take::<1>()?[0];
        let user_id = rest.text()?;
        if user_id.len() > usersig::MAX_USER_ID {
            return Err(Invalid::Malformed("userID"));
        }
        let sdk_app_id = rest.number()?;
        let number = rest.number()?;
        let expires_at = rest.number()?;
        let privileges = rest.number()?;
        let account_type = rest.number()?;
        let room = match kind {
            0 => Room::Number(number),
            1 => match rest.text()? {
                text if text.is_empty() || text.len() > MAX_ROOM => return Err(Invalid::Malformed("roomID")),
                text => Room::Text(text),
            },
            _ => return Err(Invalid::Malformed("userbuf has an unknown version")),
        };
        if !rest.0.is_empty() {
            return Err(Invalid::Malformed("userbuf has more bytes than fields"));
        }
        Ok(RoomKey { user_id, sdk_app_id, room, expires_at, privileges, account_type })
    }

    fn grant<'a>(&'a self, issued_at: u64, userbuf: &'a [u8]) -> Result<Grant<'a>, Invalid> {
        let lifetime = u64::from(self.expires_at).checked_sub(issued_at).ok_or(Invalid::Expired)?;
        Ok(Grant {
            sdk_app_id: self.sdk_app_id.into(),
            user_id: &self.user_id,
            issued_at,
            lifetime,
            userbuf: Some(userbuf),
        })
    }

    /// The privateMapKey as a version-2 userSig, made at `issued_at` (Unix seconds).
    pub fn sign_v2(&self, key: &v2::Key, issued_at: u64) -> Result<String, Invalid> {
        let userbuf = self.encode()?;
        v2::sign(key, &self.grant(issued_at, &userbuf)?)
    }

    /// The privateMapKey as a version-1 userSig, made at `issued_at` (Unix seconds).
    pub fn sign_v1(&self, key: &v1::PrivateKey, issued_at: u64) -> Result<String, Invalid> {
        let userbuf = self.encode()?;
        v1::sign(key, &self.grant(issued_at, &userbuf)?, &self.account_type.to_string())
    }
}

/// Checks a privateMapKey as [`usersig::verify`] does, and that the room key inside is for the same
/// app and user and not expired. Which room and rights are needed is the caller's to compare.
pub fn verify(text: &str, keys: &Keys, expected: &Expected<'_>) -> Result<RoomKey, Invalid> {
    let claims = usersig::verify(text, keys, expected)?;
    let userbuf = claims.userbuf.ok_or(Invalid::Malformed("no userbuf"))?;
    let room_key = RoomKey::parse(&userbuf)?;
    if u64::from(room_key.sdk_app_id) != expected.sdk_app_id {
        return Err(Invalid::Mismatch("sdkAppID in userbuf"));
    }
    if room_key.user_id != expected.user_id {
        return Err(Invalid::Mismatch("userID in userbuf"));
    }
    if expected.now > u64::from(room_key.expires_at) {
        return Err(Invalid::Expired);
    }
    Ok(room_key)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Invalid> {
        let (head, tail) = self.0.split_first_chunk().ok_or(Invalid::Malformed("userbuf is cut off"))?;
        self.0 = tail;
        Ok(*head)
    }

    fn number(&mut self) -> Result<u32, Invalid> {
        self.take().map(u32::from_be_bytes)
    }

    fn text(&mut self) -> Result<String, Invalid> {
        let len = usize::from(u16::from_be_bytes(self.take()?));
        let (head, tail) = self.0.split_at_checked(len).ok_or(Invalid::Malformed("userbuf is cut off"))?;
        self.0 = tail;
        String::from_utf8(head.to_vec()).map_err(|_| Invalid::Malformed("userbuf is not UTF-8"))
    }
}

#[cfg(test)]
mod tests;
