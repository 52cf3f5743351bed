//! `login` and `logout`.

use serde::{Deserialize, Serialize};
use sign::token::Generation;

use super::body::Text;
use super::call::{Call, Member};
use super::reply::{Fail, Reply, Sent, done, success};
use room::UserId;

/// What first-generation clients put into the query, and some into the body.
#[derive(Default, Deserialize)]
struct Credentials<'a> {
    #[serde(rename = "sdkAppID", borrow, default)]
    sdk_app_id: Option<Text<'a>>,
    #[serde(rename = "accountType", alias = "accType", borrow, default)]
    account_type: Option<Text<'a>>,
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(rename = "userSig", borrow, default)]
    user_sig: Option<Text<'a>>,
    #[serde(borrow, default)]
    platform: Option<Text<'a>>,
}

#[derive(Serialize)]
struct LoggedIn<'a> {
    #[serde(rename = "userID")]
    user_id: &'a str,
    token: String,
    timestamp: u64,
}

/// Checks the user's signature and opens a session.
pub fn login(call: &Call<'_>) -> Reply {
    let mut known = None;
    let sent = log_in(call);
    let sent = sent.map(|(user, body)| {
        known = Some(user);
        body
    });
    Reply::from_sent(sent, known)
}

fn log_in(call: &Call<'_>) -> Result<(UserId, Vec<u8>), Fail> {
    let query = call.query()?;
    // The body of a login is often empty, and sometimes not what its type says.
    let body: Credentials<'_> = call.body().unwrap_or_default();
    let pick = |name: &'static str, body: &'_ Option<Text<'_>>| {
        let text = query.get(name).or(body.as_ref().map(Text::as_str)).unwrap_or_default();
        if text.is_empty() { Err(Fail::login_incomplete(name)) } else { Ok(text.to_owned()) }
    };
    let sdk_app_id = pick("sdkAppID", &body.sdk_app_id)?;
    let user = pick("userID", &body.user_id)?;
    let user_sig = pick("userSig", &body.user_sig)?;
    let generation = match pick("platform", &body.platform) {
        Ok(_) => Generation::Second,
        Err(_) => {
            if query.get("accType").is_none() {
                pick("accountType", &body.account_type)?;
            }
            Generation::First
        }
    };
    let user = UserId::parse(&user)?;
    let weapp = call.weapp;
    weapp
        .identity
        .check(&sdk_app_id, user.as_str(), &user_sig, call.now)
        .map_err(|why| Fail::unauthorised(&format!("userSig ({}): {why}", why.step())))?;
    call.admit(&user, None)?;
    call.limit(&user)?;
    let token = weapp.sessions.open(&user, generation, call.now).map_err(|why| Fail::unauthorised(&why.to_string()))?;
    let body = success(&LoggedIn { user_id: user.as_str(), token, timestamp: call.now.0 })?;
    Ok((user, body))
}

/// Ends the session: its token is refused from now on.
pub async fn logout(member: &Member<'_>) -> Sent {
    let Member { call, session, .. } = member;
    let weapp = call.weapp;
    if session.token_is_none() {
        return done();
    }
    let many = weapp.sessions.close(session, call.now);
    weapp.chat.end_session(&session.user, session.id);
    weapp.store.revoke(session.id, session.expires, call.now).await?;
    if let Some(many) = many {
        weapp.store.revoke_before(&many, call.now).await?;
    }
    done()
}
