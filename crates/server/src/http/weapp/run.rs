//! From a call's name to the function that answers it, and the answer to one that was made before.

use room::Kind;

use super::call::{Call, Member};
use super::name::{EntryCall, Name, RoomCall};
use super::reply::{Fail, Reply, Sent};
use super::{audience, custom, login, mix, pushers, records, rooms, urls, utils, webrtc_room};
use crate::http::api::repeat;

/// Answers it; under the name that the caller gave it, if it has one.
pub async fn answer(call: &Call<'_>) -> Reply {
    match mark(call) {
        Ok(None) => run(call).await,
        Ok(Some(mark)) => Box::pin(::rooms::once::named(mark, run(call))).await,
        Err(fail) => Reply::from_sent(Err(fail), None),
    }
}

/// The number that stands for a request with an `Idempotency-Key`: made of the key, the user, the call and the body.
fn mark(call: &Call<'_>) -> Result<Option<u64>, Fail> {
    let Some(key) = call.parts.headers.get(repeat::HEADER) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| repeat::is_name(key));
    let key = key.ok_or_else(|| Fail::malformed("Idempotency-Key: 1 to 255 letters, digits, '-' and '_'"))?;
    let query = call.query()?;
    let user = query.get("userID").unwrap_or_default();
    let path = call.parts.uri.path().to_ascii_lowercase();
    let body = call.body.as_deref().unwrap_or_default();
    Ok(Some(repeat::mark(&[key.as_bytes(), user.as_bytes(), path.as_bytes(), body])))
}

async fn run(call: &Call<'_>) -> Reply {
    // Boxed: what is large and seldom asked would else make the future of every call as large.
    match call.name {
        Name::Entry(EntryCall::Login) => login::login(call),
        Name::Entry(EntryCall::GetImLoginInfo) => Reply::from_sent(utils::get_im_login_info(call), None),
        Name::Room(kind, name) => match call.session() {
            Err(fail) => Reply::from_sent(Err(fail), None),
            Ok(session) => {
                let user = session.user.clone();
                let member = Member { call, kind, session };
                Reply::from_sent(of_member(&member, name).await, Some(user))
            }
        },
        Name::Util(name) => Reply::from_sent(Box::pin(utils::run(call, name)).await, None),
        Name::Webrtc(name) => Reply::from_sent(Box::pin(webrtc_room::run(call, Kind::Webrtc, name)).await, None),
        Name::Webexe(name) => Reply::from_sent(Box::pin(webrtc_room::run(call, Kind::Webexe, name)).await, None),
    }
}

async fn of_member(member: &Member<'_>, name: RoomCall) -> Sent {
    match name {
        RoomCall::Logout => login::logout(member).await,
        RoomCall::GetPushUrl => urls::get_push_url(member),
        RoomCall::CreateRoom => rooms::create_room(member).await,
        RoomCall::DestroyRoom => rooms::destroy_room(member).await,
        RoomCall::GetRoomList => rooms::get_room_list(member).await,
        RoomCall::GetRecordList => records::get_record_list(member).await,
        RoomCall::AddPusher => pushers::add_pusher(member).await,
        RoomCall::GetPushers => pushers::get_pushers(member).await,
        RoomCall::DeletePusher => pushers::delete_pusher(member).await,
        RoomCall::Heartbeat => pushers::heartbeat(member).await,
        RoomCall::AddAudience => audience::add_audience(member).await,
        RoomCall::DeleteAudience => audience::delete_audience(member).await,
        RoomCall::GetAudiences => audience::get_audiences(member).await,
        RoomCall::SetCustomField => custom::set_custom_field(member).await,
        RoomCall::GetCustomInfo => custom::get_custom_info(member).await,
        RoomCall::MergeStream => mix::merge_stream(member).await,
    }
}
