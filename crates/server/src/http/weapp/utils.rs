//! `utils`: signatures and URLs for trying things out, the configuration check, and the log files.

use std::fmt::Write as _;

use room::UserId;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::body::Text;
use super::call::Call;
use super::name::UtilCall;
use super::reply::{Fail, Sent, done, success};
use access::operator::Need;

/// Most of a log file that one answer holds: its end.
const MAX_LOG: u64 = 8 * 1024 * 1024;
/// Longest report that is logged.
const MAX_REPORT: usize = 8 * 1024;
/// Of a report's number; what is longer is cut.
const MAX_REPORT_ID: usize = 64;

/// Answers one of them.
pub async fn run(call: &Call<'_>, name: UtilCall) -> Sent {
    if let Some(need) = needs(call, name) {
        call.operator(need, "operators only: Authorization: Bearer KEY")?;
    }
    match name {
        UtilCall::Report => report(call),
        UtilCall::CheckConfig => check_config(call).await,
        UtilCall::GetLoginInfo => get_login_info(call),
        UtilCall::GetTestPushUrl => get_test_pushurl(call),
        UtilCall::GetTestRtmpAccUrl => get_test_rtmpaccurl(call),
        UtilCall::LogFileList => log_file_list(call).await,
        UtilCall::GetLogFile => get_log_file(call).await,
    }
}

/// What an operator must be allowed who asks for it; none: anyone may.
fn needs(call: &Call<'_>, name: UtilCall) -> Option<Need<'static>> {
    match name {
        UtilCall::Report => None,
        // What a phone needs to enter a room.
        UtilCall::GetLoginInfo if call.of_the_lan() => None,
        // Who may look may not sign for others.
        UtilCall::CheckConfig | UtilCall::LogFileList | UtilCall::GetLogFile => Some(Need::Listen),
        UtilCall::GetLoginInfo | UtilCall::GetTestPushUrl | UtilCall::GetTestRtmpAccUrl => Some(Need::Tokens),
    }
}

#[derive(Serialize)]
struct LoginInfo<'a> {
    #[serde(rename = "userID")]
    user_id: &'a str,
    #[serde(rename = "sdkAppID")]
    sdk_app_id: u64,
    #[serde(rename = "accType")]
    acc_type: &'a str,
    #[serde(rename = "accountType")]
    account_type: &'a str,
    #[serde(rename = "userSig")]
    user_sig: String,
}

fn get_login_info(call: &Call<'_>) -> Sent {
    let query = call.query()?;
    let named = query.get("userID").filter(|id| !id.is_empty());
    signed(call, named.map(UserId::parse).transpose()?, "user")
}

#[derive(Deserialize)]
struct Prefix<'a> {
    #[serde(rename = "userIDPrefix", borrow, default)]
    prefix: Option<Text<'a>>,
    #[serde(rename = "userID", borrow, default)]
    user: Option<Text<'a>>,
}

/// What clients of 2017 begin with: an id and its signature, for whoever asks on this machine.
pub fn get_im_login_info(call: &Call<'_>) -> Sent {
    if !call.weapp.choices.generation0 {
        return Err(Fail::unauthorised("rooms.generation0 is off: log in"));
    }
    call.this_machine()?;
    let asked: Prefix<'_> = call.body()?;
    let user = asked.user.filter(|id| !id.as_str().is_empty()).map(|id| UserId::parse(id.as_str())).transpose()?;
    // `IE(ActiveX)`: what of it may stand in every stream's name.
    let prefix = asked.prefix.as_ref().map(Text::as_str).unwrap_or_default();
    let prefix: String = prefix.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    signed(call, user, if prefix.is_empty() { "user" } else { &prefix })
}

/// This user and its signature; without one, those of a random user.
fn signed(call: &Call<'_>, user: Option<UserId>, prefix: &str) -> Sent {
    let fresh = || UserId::parse(&format!("{prefix}{:016x}", sign::fresh_id()));
    let user = user.map_or_else(fresh, Ok)?;
    let identity = &call.weapp.identity;
    if identity.is_administrator(user.as_str()) {
        return Err(Fail::unauthorised("nobody gets the administrator's userSig"));
    }
    let user_sig = identity.sign(&user, call.now).map_err(|why| Fail::unauthorised(&why.to_string()))?;
    success(&LoginInfo {
        user_id: user.as_str(),
        sdk_app_id: identity.sdk_app_id(),
        acc_type: identity.account_type(),
        account_type: identity.account_type(),
        user_sig,
    })
}

fn get_test_pushurl(call: &Call<'_>) -> Sent {
    let urls = &call.weapp.urls;
    let base = call.base();
    let now = call.now;
    let user = UserId::parse("test")?;
    let stream = urls.stream(None, &user, (sign::fresh_id() & 0xffff) as u16)?;
    let plays = urls.plays(base, None, now);
    let play = plays.of(&stream, None);
    success(&json!({
        "url_push": urls.push(&base, &stream, now),
        "url_play_flv": play.flv().to_string(),
        "url_play_rtmp": play.rtmp().to_string(),
        "url_play_hls": play.hls().to_string(),
        "url_play_acc": play.accelerate().to_string(),
    }))
}

fn get_test_rtmpaccurl(call: &Call<'_>) -> Sent {
    let urls = &call.weapp.urls;
    let user = UserId::parse("test")?;
    let stream = urls.stream(None, &user, (sign::fresh_id() & 0xffff) as u16)?;
    let plays = urls.plays(call.base(), None, call.now);
    success(&json!({ "url_rtmpacc": plays.of(&stream, None).accelerate().to_string() }))
}

/// Looks at the settings, and asks each configured service whether it admits us with them.
async fn check_config(call: &Call<'_>) -> Sent {
    let mut live = serde_json::Map::new();
    let mut im = serde_json::Map::new();
    for problem in call.weapp.checks.settings.problems() {
        let name = problem.split([' ', ':']).next().unwrap_or_default().to_owned();
        let chat = name.starts_with("im.") || name.starts_with("chat.");
        (if chat { &mut im } else { &mut live }).insert(name, problem.into());
    }
    for lack in call.weapp.checks.live.lacks() {
        live.insert("mix".into(), lack.into());
    }
    let found = call.weapp.checks.clouds.check().await;
    live.extend(found.live.into_iter().map(|f| (f.setting, f.why.into())));
    im.extend(found.im.into_iter().map(|f| (f.setting, f.why.into())));
    if live.is_empty() && im.is_empty() {
        return success(&json!({ "result": "检查正确" }));
    }
    success(&json!({ "result": "检查失败", "live": live, "im": im }))
}

async fn log_file_list(call: &Call<'_>) -> Sent {
    let logs = call.weapp.web.logs.clone();
    let entries = tokio::task::spawn_blocking(move || {
        logs.flush();
        logs.list()
    })
    .await
    .unwrap_or_default();
    let mut page =
        String::from("<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>logs</title></head><body><ul>\n");
    for entry in entries {
        // Names are of our own making: letters, digits, `-`, `.` and one `/`.
        let _ = writeln!(page, "<li><a href=\"getlogfile?file={0}\">{0}</a> {1} bytes</li>", entry.name, entry.size);
    }
    page.push_str("</ul></body></html>\n");
    Ok(page.into_bytes())
}

async fn get_log_file(call: &Call<'_>) -> Sent {
    let query = call.query()?;
    let name = query.get("file").unwrap_or_default();
    let logs = call.weapp.web.logs.clone();
    let Some(path) = logs.path(name) else { return Err(Fail::not_found()) };
    let read = move || {
        use std::io::{Read, Seek, SeekFrom};
        logs.flush();
        let mut file = std::fs::File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(MAX_LOG)))?;
        let mut text = Vec::new();
        file.take(MAX_LOG).read_to_end(&mut text)?;
        Ok::<_, std::io::Error>(text)
    };
    let text = tokio::task::spawn_blocking(read).await.ok().and_then(Result::ok);
    text.ok_or_else(Fail::not_found)
}

#[derive(serde::Deserialize)]
struct ReportBody<'a> {
    #[serde(rename = "reportID", borrow, default)]
    report_id: Option<Text<'a>>,
    #[serde(default)]
    data: Option<serde_json::Value>,
}

fn report(call: &Call<'_>) -> Sent {
    let body: ReportBody<'_> = call.body()?;
    let data = body.data.map(|d| d.to_string()).unwrap_or_default();
    if data.len() > MAX_REPORT {
        return Err(Fail::malformed(&format_args!("data: at most {MAX_REPORT} bytes")));
    }
    let report = body.report_id.as_ref().map(Text::as_str).unwrap_or_default();
    let report = cut(report);
    tracing::info!(request = %call.id, report = ?report, data = ?data, "client report");
    done()
}

/// A report's number, as much of it as is logged.
fn cut(report: &str) -> &str {
    &report[..report.floor_char_boundary(MAX_REPORT_ID)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reports_number_is_cut() {
        assert_eq!(cut("10001"), "10001");
        assert_eq!(cut(&"a".repeat(5000)).len(), 64);
        assert_eq!(cut(&format!("a{}", "é".repeat(100))).len(), 63);
    }
}
