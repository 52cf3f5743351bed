//! The room calls of a load: a user logs in and asks for the list of rooms, so many times a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use outbound::{Call, Client};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::samples::Samples;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls that wait for an answer at a time. One more waits for one of these: a server that is slower than that is as loaded.
const ABREAST: usize = 4_000;

/// A user with a session.
pub struct Caller {
    client: Client,
    url: String,
}

fn call(url: String, body: &Value) -> Call {
    let headers = vec![(axum::http::header::CONTENT_TYPE, "application/json".to_owned())];
    Call { method: axum::http::Method::POST, url, headers, body: Bytes::from(body.to_string()), within: PATIENCE }
}

impl Caller {
    /// Logs in.
    ///
    /// # Errors
    /// The server is away, or does not let this user in.
    pub async fn login(server: &str, user: Option<(&str, &str)>, app: u64) -> Result<Self, String> {
        let client = Client::default();
        let ask = async |url: String, body: Value| {
            let said = client.json(call(url, &body)).await.map_err(|e| format!("{server}: {e}"))?;
            if said["code"] == 0 {
                Ok(said)
            } else {
                Err(format!("{server}: {}", said["message"].as_str().unwrap_or("refused")))
            }
        };
        let info = match user {
            Some((user, sig)) => json!({ "userID": user, "userSig": sig, "sdkAppID": app, "accountType": "0" }),
            None => ask(format!("{server}/weapp/utils/get_login_info"), Value::Null)
                .await
                .map_err(|why| format!("{why}; in production mode give --user and --user-sig (roomservice usersig)"))?,
        };
        let text = |name: &str| info[name].as_str().map_or_else(|| info[name].to_string(), str::to_owned);
        let query: Vec<_> =
            ["userID", "userSig", "sdkAppID", "accountType"].map(|name| format!("{name}={}", text(name))).into();
        let session = ask(format!("{server}/weapp/double_room/login?{}", query.join("&")), Value::Null).await?;
        let token = session["token"].as_str().unwrap_or_default();
        let url = format!("{server}/weapp/double_room/get_room_list?userID={}&token={token}", text("userID"));
        Ok(Self { client, url })
    }

    /// Calls so often until `stop`, whether the calls before are answered or not. Gives how long each took that went well.
    pub async fn run(self, rate: u32, samples: Arc<Samples>, stop: CancellationToken) -> Vec<Duration> {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        let mut running = JoinSet::new();
        let mut took = Vec::new();
        let mut note = |done: Option<Duration>| {
            samples.calls.fetch_add(1, Ordering::Relaxed);
            match done {
                Some(time) => took.push(time),
                None => _ = samples.failed_calls.fetch_add(1, Ordering::Relaxed),
            }
        };
        loop {
            tokio::select! {
                _ = pace.tick(), if running.len() < ABREAST => {
                    let client = self.client.clone();
                    let asked = call(self.url.clone(), &json!({ "cnt": 20, "index": 0 }));
                    running.spawn(async move {
                        let begun = Instant::now();
                        let said = client.json(asked).await;
                        said.is_ok_and(|said| said["code"] == 0).then(|| begun.elapsed())
                    });
                }
                Some(done) = running.join_next() => note(done.ok().flatten()),
                () = stop.cancelled() => break,
            }
        }
        while let Some(done) = running.join_next().await {
            note(done.ok().flatten());
        }
        took
    }
}
