//! What the TIM web SDK (2.7) asks beside the calls that it shares with the 2018 client: where to ask, what it shows of
//! users and groups. It takes every one of these for answered before it lets an app send anything.

use room::chat::{Nick, Refusal};
use room::{RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::calls::pace;
use super::{Answer, Call, Fail, fail, group, ok};
use chat::hub::Seen;
use rooms::groups::with_group;

/// Users or groups that one call may name, as many as the SDK does.
const MOST: usize = 100;
/// Most groups of one question: each may have to be fetched.
const MOST_GROUPS: usize = 20;
/// The SDK's number for the host that it has asked already. With another it would move to the maker's.
const THIS_HOST: u8 = 3;

/// `accesslayer`: the SDK's first request.
pub fn access_layer() -> Answer {
    ok(json!({"WebImAccessLayer": THIS_HOST}))
}

fn few<T>(list: Vec<T>) -> Result<Vec<T>, Fail> {
    if list.len() > MOST { Err(fail(super::BAD_BODY, "too many at once")) } else { Ok(list) }
}

/// `portrait_get_all`: the nick names of users who have one here.
pub fn portraits(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Asked {
        #[serde(default)]
        user_item: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        #[serde(rename = "To_Account")]
        user: String,
    }
    pace(call, &*call.link()?)?;
    let items = few(call.body::<Asked>()?.user_item)?;
    let nick = |user: &str| UserId::parse(user).ok().and_then(|user| call.door.chat.nick(&user));
    let tagged = |nick: Nick| json!({"Tag": "Tag_Profile_IM_Nick", "Value": nick.as_str()});
    let shown = |Item { user }: Item| {
        let items: Vec<_> = nick(&user).map(tagged).into_iter().collect();
        json!({"To_Account": user, "ProfileItem": items})
    };
    let all: Vec<_> = items.into_iter().map(shown).collect();
    ok(json!({"UserProfileItem": all, "CurrentStandardSequence": 0}))
}

/// `get_peer_read_time`: nobody here says what was read.
pub fn read_times(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Asked {
        #[serde(rename = "To_Account", default)]
        users: Vec<String>,
    }
    call.login()?;
    let times = vec![0; few(call.body::<Asked>()?.users)?.len()];
    ok(json!({"ReadTime": times}))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    group_id: &'a str,
    error_code: u32,
    error_info: &'a str,
    r#type: &'a str,
    name: &'a str,
    #[serde(rename = "Owner_Account")]
    owner: &'a str,
    member_num: usize,
    next_msg_seq: u64,
    apply_join_option: &'a str,
}

/// `get_group_info`, `get_group_public_info`: each group that is named, or why it cannot be shown.
pub async fn groups(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Asked {
        #[serde(default)]
        group_id_list: Vec<String>,
    }
    let link = call.link()?;
    let mut all = Vec::new();
    let asked = few(call.body::<Asked>()?.group_id_list)?;
    if asked.len() > MOST_GROUPS {
        return Err(fail(super::BAD_BODY, "too many at once"));
    }
    for id in asked {
        pace(call, &link)?;
        all.push(match seen(call, &id).await {
            Ok((seen, owner)) => json!(Shown {
                group_id: &id,
                error_code: 0,
                error_info: "",
                r#type: "AVChatRoom",
                name: &seen.name,
                owner: owner.as_ref().map_or("", UserId::as_str),
                member_num: seen.users,
                next_msg_seq: seen.last + 1,
                apply_join_option: "FreeAccess",
            }),
            Err(Fail(code, why)) => json!({"GroupId": id, "ErrorCode": code, "ErrorInfo": why}),
        });
    }
    ok(json!({"GroupInfo": all}))
}

/// A group with its owner, who is the room's creator where the group is a room's.
async fn seen(call: &Call<'_>, id: &str) -> Result<(Seen, Option<UserId>), Fail> {
    let id = group(id)?;
    admitted(call, &id)?;
    let seen = with_group(&call.door.chat, &call.door.rooms, &id, || call.door.chat.see(&id, &[])).await?;
    let owner = owner(call, &id, seen.owner.clone()).await;
    Ok((seen, owner))
}

/// Refuses who is kept out of a group, as entering does.
fn admitted(call: &Call<'_>, id: &RoomId) -> Result<(), Fail> {
    match call.door.bans.until(&call.link()?.user, Some(id), call.now) {
        Some(until) => Err(Refusal::Banned { until }.into()),
        None => Ok(()),
    }
}

async fn owner(call: &Call<'_>, id: &RoomId, founder: Option<UserId>) -> Option<UserId> {
    match founder {
        Some(founder) => Some(founder),
        None => call.door.rooms.creator(id).await.ok().flatten(),
    }
}

#[derive(Deserialize)]
struct Members {
    #[serde(rename = "GroupId")]
    group: String,
    /// Empty where all are meant.
    #[serde(rename = "Member_List_Account", default)]
    users: Vec<String>,
}

/// `get_specified_group_member_info`, `get_group_member_info`: what the named users are in a group. A large group has no list
/// of all that are in it: who asks for that sees itself.
pub async fn members(call: &Call<'_>) -> Answer {
    let link = call.link()?;
    pace(call, &link)?;
    let asked: Members = call.body()?;
    let id = group(&asked.group)?;
    admitted(call, &id)?;
    let named = few(asked.users)?;
    let users: Vec<UserId> = match named.as_slice() {
        [] => vec![link.user.clone()],
        named => named.iter().map(|user| super::checked_account(user)).collect::<Result<_, _>>()?,
    };
    let seen = with_group(&call.door.chat, &call.door.rooms, &id, || call.door.chat.see(&id, &users)).await?;
    let owner = owner(call, &id, seen.owner.clone()).await;
    let role = |user: &UserId, within: bool| {
        if owner.as_ref() == Some(user) {
            "Owner"
        } else if within {
            "Member"
        } else {
            "NotMember"
        }
    };
    let list = users.iter().zip(&seen.within);
    let list: Vec<Value> =
        list.map(|(user, within)| json!({"Member_Account": user, "Role": role(user, *within)})).collect();
    ok(json!({"MemberNum": seen.users, "MemberList": list}))
}
