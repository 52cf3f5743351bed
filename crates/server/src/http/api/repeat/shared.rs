//! The answers that all nodes share, in Redis: whichever node a request comes to again, it is done once.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use redis::Script;

use super::{Given, KEPT, Seen};
use store::error::Error;
use store::redis::keys::Keys;
use store::redis::{Link, Target};

/// For how long, in milliseconds, a request counts as being done. No call takes as long; a node that is killed in the
/// middle says nothing more.
const RUNS: u64 = 120_000;

/// Keys: request. Arguments: what was sent, milliseconds for which it counts as being done. Fields: what was sent `a`,
/// status `s`, headers `h`, body `b`. Answers what it is (0 new, 1 being done, 2 another, 3 done), and the answer.
static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
    local request, sent, runs_for = KEYS[1], ARGV[1], ARGV[2]
    local held = redis.call('HMGET', request, 'a', 's', 'h', 'b')
    if not held[1] then
        redis.call('HSET', request, 'a', sent)
        redis.call('PEXPIRE', request, runs_for)
        return {0, 0, '', ''}
    end
    if held[1] ~= sent then return {2, 0, '', ''} end
    if not held[2] then return {1, 0, '', ''} end
    return {3, tonumber(held[2]), held[3], held[4]}
",
    )
});

/// The requests of all nodes.
pub struct Shared(Link);

impl Shared {
    /// Those in this Redis.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self(Link::new(target))
    }

    pub(super) async fn begin(&self, name: &str, asked: [u8; 32]) -> Result<Seen, Error> {
        let mut script = BEGIN.prepare_invoke();
        script.key(Keys::request(name)).arg(&asked[..]).arg(RUNS);
        let (seen, status, headers, body): (u8, u16, String, Vec<u8>) =
            self.0.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
        Ok(match seen {
            0 => Seen::New,
            1 => Seen::Running,
            2 => Seen::Other,
            _ => Seen::Done(Given {
                status: StatusCode::from_u16(status).unwrap_or_default(),
                headers: read(&headers),
                body: body.into(),
            }),
        })
    }

    pub(super) async fn end(&self, name: &str, given: Option<Given>) {
        let key = Keys::request(name);
        let mut pipe = redis::pipe();
        match given {
            None => pipe.unlink(&key).ignore(),
            Some(Given { status, headers, body }) => {
                pipe.hset(&key, "s", status.as_u16()).ignore().hset(&key, "h", write(&headers)).ignore();
                pipe.hset(&key, "b", &body[..]).ignore().pexpire(&key, i64::try_from(KEPT).unwrap_or(i64::MAX)).ignore()
            }
        };
        // In one piece: half an answer is none.
        pipe.atomic();
        if let Err(error) = self.0.run(async |mut redis| pipe.exec_async(&mut redis).await).await {
            tracing::warn!(%error, "what came of a request cannot be remembered: sent again, it waits two minutes");
        }
    }
}

fn write(headers: &HeaderMap) -> String {
    let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    let all: Vec<(String, String)> = headers.iter().filter_map(text).collect();
    serde_json::to_string(&all).unwrap_or_default()
}

fn read(text: &str) -> HeaderMap {
    let all: Vec<(String, String)> = serde_json::from_str(text).unwrap_or_default();
    let header =
        |(name, value): (String, String)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?));
    all.into_iter().filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::RedisServer;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_one_node_did_another_does_not_do_again() {
        let mut redis = RedisServer::start(&[]);
        let [one, other] = [(), ()].map(|()| Shared::new(Target::parse(&redis.url(0)).unwrap()));
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let given = Given { status: StatusCode::CREATED, headers, body: vec![b'{', 0, 0xff].into() };
        assert_eq!(one.begin("a", [1; 32]).await.unwrap(), Seen::New);
        assert_eq!(other.begin("a", [1; 32]).await.unwrap(), Seen::Running);
        assert_eq!(other.begin("a", [2; 32]).await.unwrap(), Seen::Other);
        one.end("a", Some(given.clone())).await;
        assert_eq!(other.begin("a", [1; 32]).await.unwrap(), Seen::Done(given));
        assert_eq!(other.begin("a", [2; 32]).await.unwrap(), Seen::Other);
        assert_eq!(other.begin("b", [1; 32]).await.unwrap(), Seen::New);
        other.end("b", None).await;
        assert_eq!(one.begin("b", [2; 32]).await.unwrap(), Seen::New, "what failed may be tried again");
        let left: i64 = redis.cli(&["pttl", &Keys::request("a")]).parse().unwrap();
        assert!((23 * 3_600_000..=24 * 3_600_000).contains(&left), "a day: {left}");
        // A node that is killed in the middle holds no caller up for a day.
        let left: i64 = redis.cli(&["pttl", &Keys::request("b")]).parse().unwrap();
        assert!((1..=120_000).contains(&left), "{left}");
        redis.stop();
        assert!(matches!(one.begin("a", [1; 32]).await, Err(Error::Unavailable(_))));
    }
}
