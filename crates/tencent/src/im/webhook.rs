//! What the chat service notifies us of: checked, and read down to who
//! was seen to vanish or come back, and who wants to do what. What follows from it is the caller's.

use room::{Millis, RoomId, UserId};
use serde_json::Value;
use sign::stream_url::Query;
use sign::{Invalid, Secret, callback};

/// Most users of one callback that are looked at.
const MAX_MEMBERS: usize = 200;

/// Something the service saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// These users are no longer in the group of this room, or their connections broke, or are there again.
    Members {
        /// What became of them.
        how: How,
        /// The room.
        room: RoomId,
        /// Who.
        users: Vec<UserId>,
        /// When.
        at: Millis,
    },
    /// It is to be said whether this user may enter the group, or say what it wants to say.
    Asked {
        /// Who.
        user: UserId,
        /// The room; none: something is said to a user.
        room: Option<RoomId>,
    },
    /// This user's connection broke.
    Disconnected {
        /// Who.
        user: UserId,
        /// When.
        at: Millis,
    },
    /// Nothing that matters to rooms.
    Other,
}

/// What became of members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// They left it.
    Left,
    /// They are in it and cannot be reached.
    Offline,
    /// They can be reached again.
    Online,
}

/// Checks and reads one callback. The signature does not cover the body: it tells nothing that is not
/// looked up before a user is removed for it.
///
/// # Errors
/// Why it is not believed.
pub fn read(query: &Query<'_>, body: &[u8], app: u64, token: &Secret, now: Millis) -> Result<Seen, Invalid> {
    let text = |name: &'static str| query.get(name).ok_or(Invalid::Malformed(name));
    callback::verify_webhook(token, text("RequestTime")?, text("Sign")?, now.secs())?;
    if text("SdkAppid")?.parse() != Ok(app) {
        return Err(Invalid::Mismatch("SdkAppid"));
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| Invalid::Malformed("body"))?;
    let command = body["CallbackCommand"].as_str().ok_or(Invalid::Malformed("CallbackCommand"))?;
    if text("CallbackCommand")? != command {
        return Err(Invalid::Mismatch("CallbackCommand"));
    }
    // Text in some commands, a number in others; milliseconds. A time to come counts as now.
    let time = &body["EventTime"];
    let time = time.as_u64().or_else(|| time.as_str()?.parse().ok());
    let at = time.map_or(now, |time| Millis(time).min(now));
    Ok(match command {
        "Group.CallbackAfterMemberExit" => members(How::Left, &body, "ExitMemberList", at)?,
        "Group.CallbackOnMemberStateChange" => match body["EventType"].as_str() {
            Some("Offline") => members(How::Offline, &body, "MemberList", at)?,
            Some("Online") => members(How::Online, &body, "MemberList", at)?,
            _ => Seen::Other,
        },
        "Group.CallbackBeforeApplyJoinGroup" => asked(&body, "Requestor_Account"),
        "Group.CallbackBeforeSendMsg" | "C2C.CallbackBeforeSendMsg" => asked(&body, "From_Account"),
        "State.StateChange" => match body["Info"]["Action"].as_str() {
            Some("Disconnect" | "Logout") => {
                let user = body["Info"]["To_Account"].as_str().and_then(|id| UserId::parse(id).ok());
                user.map_or(Seen::Other, |user| Seen::Disconnected { user, at })
            }
            _ => Seen::Other,
        },
        _ => Seen::Other,
    })
}

/// Groups and users that are not ours may do what they want.
fn asked(body: &Value, who: &str) -> Seen {
    let user = body[who].as_str().and_then(|id| UserId::parse(id).ok());
    let room = body["GroupId"].as_str().and_then(|id| RoomId::parse(id).ok());
    user.map_or(Seen::Other, |user| Seen::Asked { user, room })
}

fn members(how: How, body: &Value, list: &'static str, at: Millis) -> Result<Seen, Invalid> {
    let room = body["GroupId"].as_str().ok_or(Invalid::Malformed("GroupId"))?;
    // Groups that are not ours may have ids that no room has.
    let Ok(room) = RoomId::parse(room) else { return Ok(Seen::Other) };
    let members = body[list].as_array().ok_or(Invalid::Malformed(list))?;
    let id = |member: &Value| UserId::parse(member["Member_Account"].as_str().or(member.as_str())?).ok();
    let users = members.iter().take(MAX_MEMBERS).filter_map(id).collect();
    Ok(Seen::Members { how, room, users, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_669_872_112_000);
    // The documented example.
    const SIGN: &str = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061";

    fn seen(command: &str, body: &str, sign: &str, now: Millis) -> Result<Seen, Invalid> {
        let query = format!(
            "SdkAppid=1400000000&CallbackCommand={command}&contenttype=json&Sign={sign}&RequestTime=1669872112"
        );
        read(&Query::parse(&query).unwrap(), body.as_bytes(), 1_400_000_000, &"xxxxyyyy".into(), now)
    }

    #[test]
    fn who_vanishes_is_named() {
        let exit = r#"{"CallbackCommand":"Group.CallbackAfterMemberExit","GroupId":"r1","ExitType":"Quit",
            "ExitMemberList":[{"Member_Account":"alice"},{"Member_Account":"not an id"}],"EventTime":"1669872110123"}"#;
        let users = vec![UserId::parse("alice").unwrap()];
        let room = RoomId::parse("r1").unwrap();
        let of = |how, at| Seen::Members { how, room: room.clone(), users: users.clone(), at };
        let gone = of(How::Left, Millis(1_669_872_110_123));
        assert_eq!(seen("Group.CallbackAfterMemberExit", exit, SIGN, NOW), Ok(gone));
        let offline = r#"{"CallbackCommand":"Group.CallbackOnMemberStateChange","GroupId":"r1","EventType":"Offline",
            "MemberList":[{"Member_Account":"alice"}]}"#;
        assert_eq!(seen("Group.CallbackOnMemberStateChange", offline, SIGN, NOW), Ok(of(How::Offline, NOW)));
        let online = offline.replace("Offline", "Online");
        assert_eq!(seen("Group.CallbackOnMemberStateChange", &online, SIGN, NOW), Ok(of(How::Online, NOW)));
        let state = r#"{"CallbackCommand":"State.StateChange","EventTime":1669872100000,
            "Info":{"Action":"Disconnect","To_Account":"bob","Reason":"TimeOut"}}"#;
        let bob = Seen::Disconnected { user: UserId::parse("bob").unwrap(), at: Millis(1_669_872_100_000) };
        assert_eq!(seen("State.StateChange", state, SIGN, NOW), Ok(bob));
        assert_eq!(seen("Some.NewCommand", r#"{"CallbackCommand":"Some.NewCommand"}"#, SIGN, NOW), Ok(Seen::Other));
    }

    #[test]
    fn who_wants_to_do_what_is_read() {
        let alice = UserId::parse("alice").unwrap();
        let room = RoomId::parse("r1").ok();
        let ask = |command: &str, who: &str| {
            let body = format!(
                r#"{{"CallbackCommand":"{command}","GroupId":"r1","Type":"AVChatRoom","{who}":"alice","EventTime":"1"}}"#
            );
            seen(command, &body, SIGN, NOW)
        };
        let asked = Seen::Asked { user: alice.clone(), room };
        assert_eq!(ask("Group.CallbackBeforeSendMsg", "From_Account"), Ok(asked.clone()));
        assert_eq!(ask("Group.CallbackBeforeApplyJoinGroup", "Requestor_Account"), Ok(asked));
        assert_eq!(ask("Group.CallbackBeforeSendMsg", "Nobody"), Ok(Seen::Other));
        let direct = r#"{"CallbackCommand":"C2C.CallbackBeforeSendMsg","From_Account":"alice","To_Account":"bob"}"#;
        let asked = Seen::Asked { user: alice, room: None };
        assert_eq!(seen("C2C.CallbackBeforeSendMsg", direct, SIGN, NOW), Ok(asked));
    }

    #[test]
    fn forged_replayed_and_mixed_up_ones_are_not_believed() {
        let body = r#"{"CallbackCommand":"State.StateChange"}"#;
        let forged = SIGN.replace("17773", "27773");
        assert_eq!(seen("State.StateChange", body, &forged, NOW), Err(Invalid::Signature));
        assert_eq!(seen("State.StateChange", body, SIGN, NOW.plus(61_000)), Err(Invalid::Expired));
        assert_eq!(seen("C2C.Other", body, SIGN, NOW), Err(Invalid::Mismatch("CallbackCommand")));
        assert_eq!(seen("State.StateChange", "<html>", SIGN, NOW), Err(Invalid::Malformed("body")));
        let query =
            "SdkAppid=1400000001&CallbackCommand=State.StateChange&RequestTime=1669872112&Sign=".to_owned() + SIGN;
        let other = read(&Query::parse(&query).unwrap(), body.as_bytes(), 1_400_000_000, &"xxxxyyyy".into(), NOW);
        assert_eq!(other, Err(Invalid::Mismatch("SdkAppid")));
    }
}
