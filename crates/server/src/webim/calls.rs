//! The calls that are answered at once: logging in, profiles, groups, and what is said.

use std::sync::Arc;

use room::chat::{Body, End, MAX_NICK, Nick, Refusal, Said};
use room::{RoomId, UserId};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{
    Answer, Call, EXISTS, FILTERED, Fail, NO_SUCH_COMMAND, NOT_ALLOWED, TOO_FAST, UNAUTHORISED, checked_account, fail,
    group, ok, own, place, polls, views,
};
use access::limits::{Budget, TooMuch};
use chat::hub::link::Link;
use chat::say;
use rooms::groups::{ensure, outside, with_group};
use store::error::Error;
use telemetry::traces::{Kind, part};
use webhooks::Whom;

/// Which call a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Login,
    Logout,
    Done,
    AuthKey,
    LongPollingId,
    LongPolling,
    GetMsg,
    SendMsg,
    PortraitGet,
    PortraitSet,
    CreateGroup,
    DestroyGroup,
    JoinedGroups,
    Join,
    Quit,
    SendGroupMsg,
    GetGroupMsg,
    AccessLayer,
    Portraits,
    ReadTimes,
    Groups,
    Members,
    Nothing,
    Recent,
    Roamed,
    /// Commands of the client's that mean nothing here, and those that no client has.
    Unknown,
}

/// The whole table.
pub fn find(service: &str, command: &str) -> Name {
    match (service, command) {
        ("openim", "login") => Name::Login,
        // Clients that log out of this device alone say the second.
        ("openim", "logout" | "longpollinglogout") => Name::Logout,
        ("openim", "msgreaded")
        | ("sns", "pendency_get")
        | ("imopenstat", "web_report" | "tim_web_report")
        | ("group_open_http_svc", "msg_read_report")
        | ("recentcontact", "delete") => Name::Done,
        ("webim", "accesslayer") => Name::AccessLayer,
        ("profile", "portrait_get_all") => Name::Portraits,
        ("openim", "get_peer_read_time") => Name::ReadTimes,
        ("group_open_http_svc", "get_group_info" | "get_group_public_info") => Name::Groups,
        ("group_open_http_svc", "get_specified_group_member_info" | "get_group_member_info") => Name::Members,
        ("sns", "friend_get_all" | "black_list_get") | ("group_open_http_svc", "get_pendency") => Name::Nothing,
        ("openim", "authkey") => Name::AuthKey,
        ("openim", "getlongpollingid") => Name::LongPollingId,
        ("openim", "longpolling") => Name::LongPolling,
        ("openim", "getmsg") => Name::GetMsg,
        ("openim", "sendmsg") => Name::SendMsg,
        ("openim", "getroammsg") => Name::Roamed,
        ("recentcontact", "get" | "page_get") => Name::Recent,
        ("profile", "portrait_get") => Name::PortraitGet,
        ("profile", "portrait_set") => Name::PortraitSet,
        ("group_open_http_svc", "create_group") => Name::CreateGroup,
        ("group_open_http_svc", "destroy_group") => Name::DestroyGroup,
        ("group_open_http_svc", "get_joined_group_list") => Name::JoinedGroups,
        ("group_open_http_svc", "send_group_msg") => Name::SendGroupMsg,
        ("group_open_http_svc" | "group_open_http_noauth_svc", "apply_join_group") => Name::Join,
        ("group_open_http_svc" | "group_open_http_noauth_svc", "quit_group") => Name::Quit,
        ("group_open_long_polling_http_noauth_svc" | "group_open_long_polling_http_svc", "get_msg") => {
            Name::GetGroupMsg
        }
        _ => Name::Unknown,
    }
}

/// Answers a call.
pub async fn run(call: &Call<'_>, name: Name) -> Answer {
    match name {
        Name::Login => login(call),
        Name::Logout => logout(call).await,
        // Reports come from clients that are not logged in yet, too; nothing is done with any of these.
        Name::Done => ok(json!({})),
        // It opens nothing here, and the TIM web SDK asks for it without saying who it is.
        Name::AuthKey => {
            let key = format!("{:016x}", sign::fresh_id());
            ok(json!({"IpList": [], "AuthKey": key, "ExpireTime": 3600}))
        }
        Name::LongPollingId => {
            call.link()?;
            ok(json!({"LongPollingId": sign::fresh_id().to_string(), "Timeout": polls::TIMEOUT}))
        }
        Name::LongPolling => polls::direct(call).await,
        Name::GetMsg => get_msg(call),
        Name::SendMsg => send_msg(call).await,
        Name::PortraitGet => {
            call.login()?;
            ok(json!({"UserProfileItem": []}))
        }
        Name::PortraitSet => portrait_set(call),
        Name::CreateGroup => create_group(call).await,
        Name::DestroyGroup => destroy_group(call).await,
        Name::JoinedGroups => {
            call.login()?;
            ok(json!({"GroupIdList": []}))
        }
        Name::Join => join(call).await,
        Name::Quit => quit(call),
        Name::SendGroupMsg => send_group_msg(call).await,
        Name::GetGroupMsg => polls::group(call).await,
        Name::Recent => {
            call.login()?;
            ok(json!({"SessionItem": [], "CompleteFlag": 1}))
        }
        Name::AccessLayer => views::access_layer(),
        Name::Portraits => views::portraits(call),
        Name::ReadTimes => views::read_times(call),
        Name::Groups => views::groups(call).await,
        Name::Members => views::members(call).await,
        // Friends, users whom one does not want to hear, and requests to be let in: nobody has any. The TIM web SDK asks for
        // the last once more after it has forgotten who it was.
        Name::Nothing => ok(json!({"InfoItem": [], "FriendNum": 0, "BlackListItem": [], "PendencyList": []})),
        // What waited for a user comes by `longpolling`; more of what was said to it is not kept.
        Name::Roamed => {
            call.login()?;
            ok(json!({"Complete": 1, "MsgCnt": 0, "MsgList": []}))
        }
        Name::Unknown => Err(fail(NO_SUCH_COMMAND, "no such command here")),
    }
}

/// Private messages that were said before: none, they come by `longpolling`.
fn get_msg(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(rename = "Cookie", borrow)]
        cookie: Option<&'a RawValue>,
    }
    call.login()?;
    let cookie = call.body::<Body<'_>>()?.cookie.and_then(|c| serde_json::from_str(c.get()).ok());
    // The TIM web SDK polls for private messages only where it gets one that is not empty.
    let cookie = cookie.filter(|cookie| *cookie != json!("")).unwrap_or_else(|| json!("0"));
    ok(json!({"MsgList": [], "SyncFlag": 2, "Cookie": cookie}))
}

fn login(call: &Call<'_>) -> Answer {
    let door = call.door;
    let given = |name: &'static str| {
        let text = call.query.get(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| fail(UNAUTHORISED, format!("{name} is missing")))
    };
    let user = checked_account(given("identifier")?)?;
    let app_id = call.query.get("sdkappid").unwrap_or_default();
    door.identity
        .check(app_id, user.as_str(), given("usersig")?, call.now)
        .map_err(|why| fail(UNAUTHORISED, format!("usersig ({}): {why}", why.step())))?;
    call.admit(&user)?;
    door.web.limits.user(&user, call.peer, Budget::Login).map_err(|TooMuch(seconds)| too_fast(seconds))?;
    let (login, a2) = door.sessions.open_chat(&user, call.now).map_err(|why| fail(UNAUTHORISED, why.to_string()))?;
    door.chat.logged_in(&place(&login))?;
    ok(json!({"TinyId": login.id.to_string(), "A2Key": a2}))
}

async fn logout(call: &Call<'_>) -> Answer {
    let login = call.login()?;
    let door = call.door;
    let many = door.sessions.close_chat(&login, call.now);
    door.chat.end_session(&login.user, login.id);
    door.store.revoke(login.id, login.expires, call.now).await.map_err(|_| Refusal::Away)?;
    if let Some(many) = many {
        door.store.revoke_before(&many, call.now).await.map_err(|_| Refusal::Away)?;
    }
    ok(json!({}))
}

fn too_fast(seconds: u32) -> Fail {
    fail(TOO_FAST, format!("too fast: wait {} ms", u64::from(seconds) * 1000))
}

/// Bounds how fast a client may say things: the connection by itself, and its user with all connections.
pub fn pace(call: &Call<'_>, link: &Link) -> Result<(), Fail> {
    let user = || call.door.web.limits.user(&link.user, call.peer, Budget::Message);
    let asked = link.ask(call.now).and_then(|()| user().map_err(|TooMuch(seconds)| u64::from(seconds) * 1000));
    asked.map_err(|wait| fail(TOO_FAST, format!("too fast: wait {wait} ms")))
}

fn body(list: Option<&RawValue>) -> Result<Body, Fail> {
    Ok(say::list(list.unwrap_or(RawValue::NULL))?)
}

async fn send_msg(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Asked<'a> {
        #[serde(rename = "From_Account")]
        from: Option<String>,
        #[serde(rename = "To_Account")]
        to: String,
        #[serde(rename = "MsgSeq")]
        seq: Option<u64>,
        #[serde(rename = "MsgRandom")]
        random: Option<u64>,
        #[serde(rename = "MsgBody", borrow)]
        body: Option<&'a RawValue>,
    }
    let link = call.link()?;
    let asked: Asked<'_> = call.body()?;
    own(asked.from.as_deref(), &link.user)?;
    let to = checked_account(&asked.to)?;
    let body = body(asked.body)?;
    pace(call, &link)?;
    let said = call.door.chat.said(&link.user, asked.random, body);
    may_say(call, Whom::User(&to), &said).await?;
    let posted = call.door.chat.send_direct(&to, asked.seq, said).await?;
    if let Some(hooks) = call.door.hooks.as_ref().filter(|_| !posted.again) {
        hooks.said_directly(&posted.message).await?;
    }
    ok(json!({"MsgTime": posted.message.at.secs()}))
}

fn portrait_set(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Asked {
        #[serde(default)]
        profile_item: Vec<Item>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Item {
        tag: String,
        value: serde_json::Value,
    }
    let link = call.link()?;
    let asked: Asked = call.body()?;
    pace(call, &link)?;
    let items = asked.profile_item.iter().filter(|item| item.tag == "Tag_Profile_IM_Nick");
    for nick in items.filter_map(|item| item.value.as_str()) {
        // A client that logs in cannot do anything about a long name: it is cut.
        let nick = &nick[..nick.floor_char_boundary(MAX_NICK)];
        let nick = if nick.is_empty() { None } else { Some(Nick::parse(nick)?) };
        call.door.chat.set_nick(&link.user, nick)?;
    }
    ok(json!({}))
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "GroupId", default)]
    id: String,
}

async fn create_group(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Asked {
        group_id: Option<String>,
        #[serde(default)]
        name: String,
        #[serde(default, rename = "Type")]
        kind: String,
    }
    let link = call.link()?;
    let asked: Asked = call.body()?;
    pace(call, &link)?;
    let id = asked.group_id.unwrap_or_else(|| format!("@TGS#{:016x}", sign::fresh_id()));
    let id = group(&id)?;
    // A room's group has no owner, also before it was asked for. Clients that have just made the room make its group, too, and
    // stop where that is refused.
    let own = if ensure(&call.door.chat, &call.door.rooms, &id).await? {
        leads(call, &link, &id).await?
    } else if let Some(owner) = known_owner(call, &id).await? {
        // Clients ask for the group of a page before each join.
        owner.as_ref() == Some(&link.user)
    } else {
        // It is as good as a room.
        let limits = &call.door.web.limits;
        let of_user = limits.user(&link.user, call.peer, Budget::Create);
        let of_all = of_user.and_then(|()| call.peer.map_or(Ok(()), |peer| limits.address(peer, Budget::Create)));
        of_all.map_err(|TooMuch(seconds)| too_fast(seconds))?;
        let made = call.door.chat.found(&id, Some(&link.user), &asked.name).await?;
        !made.existed || made.owner.as_ref() == Some(&link.user)
    };
    if !own {
        return Err(fail(EXISTS, "the group exists"));
    }
    if asked.kind != "AVChatRoom" {
        return ok(json!({"GroupId": id}));
    }
    let key = enter(call, &link, &id).await?;
    ok(json!({"GroupId": id, "LongPollingKey": key}))
}

/// Who made a group, if a user did; none where there is no such group.
async fn known_owner(call: &Call<'_>, group: &RoomId) -> Result<Option<Option<UserId>>, Fail> {
    call.door.chat.fetch(group).await?;
    Ok(call.door.chat.owner(group).ok())
}

/// Whether a caller may take a room's group for its own: as the room's creator, or before the room has one.
async fn leads(call: &Call<'_>, link: &Link, room: &RoomId) -> Result<bool, Fail> {
    match call.door.rooms.creator(room).await {
        Ok(creator) => Ok(creator.is_none_or(|creator| creator == link.user)),
        Err(Error::Refused(_)) => Err(Refusal::NoGroup.into()),
        Err(_) => Err(Refusal::Away.into()),
    }
}

async fn destroy_group(call: &Call<'_>) -> Answer {
    let id = group(&call.body::<Group>()?.id)?;
    let link = call.link()?;
    pace(call, &link)?;
    let chat = &call.door.chat;
    if call.door.rooms.exists(&id).await {
        // It goes with the room, and not before.
        return if leads(call, &link, &id).await? { ok(json!({})) } else { Err(fail(NOT_ALLOWED, "not the owner")) };
    }
    chat.fetch(&id).await?;
    if chat.owner(&id)?.as_ref() != Some(&link.user) {
        return Err(fail(NOT_ALLOWED, "not the owner"));
    }
    chat.destroy(&id, Some(&link.user), End::Destroyed)?;
    ok(json!({}))
}

async fn join(call: &Call<'_>) -> Answer {
    let id = group(&call.body::<Group>()?.id)?;
    let link = call.listener(&id).await?;
    pace(call, &link)?;
    let key = enter(call, &link, &id).await?;
    ok(json!({"JoinedStatus": "JoinedSuccess", "LongPollingKey": key}))
}

/// Puts a caller into a group. Gives the key by which it polls.
async fn enter(call: &Call<'_>, link: &Arc<Link>, id: &RoomId) -> Result<String, Fail> {
    let chat = &call.door.chat;
    if let Some(until) = call.door.bans.until(&link.user, Some(id), call.now) {
        return Err(Refusal::Banned { until }.into());
    }
    // Clients act on what they get as on what is said now: nothing of before.
    with_group(chat, &call.door.rooms, id, || chat.join(link, id, None, 0, |_| Default::default())).await?;
    let key = call.door.sessions.open_poll(&link.user, link.session, id, call.now);
    key.map_err(|why| fail(UNAUTHORISED, why.to_string()))
}

fn quit(call: &Call<'_>) -> Answer {
    let id = group(&call.body::<Group>()?.id)?;
    // Who only listens has no name to quit with: it is gone when it stops polling.
    if !call.is_nameless() {
        let link = call.link()?;
        // Not being in is what was asked for.
        let _ = call.door.chat.quit(&link, &id);
    }
    ok(json!({}))
}

/// Asks the app's backend, where it wants to be asked.
async fn may_say(call: &Call<'_>, whom: Whom<'_>, said: &Said) -> Result<(), Fail> {
    match &call.door.hooks {
        Some(hooks) => hooks.may_say(whom, said).await.map_err(|why| fail(FILTERED, why)),
        None => Ok(()),
    }
}

async fn send_group_msg(call: &Call<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Asked<'a> {
        #[serde(rename = "GroupId")]
        group: String,
        #[serde(rename = "From_Account")]
        from: Option<String>,
        #[serde(rename = "Random")]
        random: Option<u64>,
        #[serde(rename = "MsgBody", borrow)]
        body: Option<&'a RawValue>,
    }
    let link = call.link()?;
    let asked: Asked<'_> = call.body()?;
    own(asked.from.as_deref(), &link.user)?;
    let id = group(&asked.group)?;
    let body = body(asked.body)?;
    pace(call, &link)?;
    let chat = &call.door.chat;
    let said = chat.said(&link.user, asked.random, body);
    if let Some(sent) = call.door.sent_before_asking(&id, &said).await? {
        return ok(json!({"MsgTime": sent.at.secs(), "MsgSeq": sent.seq}));
    }
    may_say(call, Whom::Room(&id), &said).await?;
    let sent = match part("chat.send", Kind::Internal, || None, chat.send(&id, said)).await {
        Ok(sent) => sent,
        Err(why) => return Err(outside(&call.door.rooms, &id, why).await.into()),
    };
    if let Some(hooks) = &call.door.hooks
        && let Some(message) = &sent.message
    {
        hooks.said(message).await?;
    }
    ok(json!({"MsgTime": sent.at.secs(), "MsgSeq": sent.seq}))
}
