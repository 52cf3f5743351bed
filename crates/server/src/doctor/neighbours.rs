//! What the server leans on: Redis and its settings, clocks, receivers of webhooks, Tencent's services.

use std::time::Duration;

use time::PrimitiveDateTime;
use time::macros::format_description;

use super::verdict::Verdict;
use crate::config::Settings;
use crate::said::{Said, said};
use store::Place;
use store::clock::{Clock, System};
use store::redis::Inspected;
use telemetry::shown;
use tencent::clouds::{Clouds, Findings};

/// How long a neighbour may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clocks that differ by more seconds are reported, or make signatures fail.
const APART: [f64; 2] = [2.0, 30.0];

/// What was found, and by how many seconds a neighbour's clock is ahead of ours.
pub struct Found {
    pub verdicts: Vec<Verdict>,
    pub ahead: Option<(String, f64)>,
}

/// Redis, where rooms are kept there.
pub async fn redis(settings: &Settings) -> Found {
    const NAME: &str = "redis";
    if settings.store.kind != Place::Redis {
        return Found { verdicts: vec![Verdict::ok(NAME, Said::plain("not used"))], ahead: None };
    }
    // What is wrong with its address is said of the settings.
    let Ok(target) = settings.store.target() else { return Found { verdicts: Vec::new(), ahead: None } };
    let now = || System.now().0;
    match store::redis::inspect(target, now).await {
        Err(why) => {
            let cure = said!(
                "start Redis, let this machine in (bind, ACL, firewall), and see that store.redis has its address and password"
            );
            Found { verdicts: vec![Verdict::fail(NAME, said!("{why}", why = why), cure)], ahead: None }
        }
        Ok(seen) => Found {
            verdicts: judge_redis(&seen, settings.store.redis_replicas),
            ahead: Some(("Redis".into(), seen.ahead as f64 / 1000.0)),
        },
    }
}

fn judge_redis(seen: &Inspected, replicas: usize) -> Vec<Verdict> {
    const NAME: &str = "redis";
    let mut found = Vec::new();
    if seen.version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 7) {
        found.push(Verdict::warn(
            NAME,
            said!("version {version} is older than what is tried", version = seen.version),
            said!("use Redis 7 or Valkey"),
        ));
    }
    if seen.role != "master" {
        let cure =
            said!("let store.redis lead to the master, or name the Sentinels: redis-sentinel://host:26379/master");
        found.push(Verdict::fail(NAME, said!("it is a {role} and takes no changes", role = seen.role), cure));
    }
    let evicts = || said!("CONFIG SET maxmemory-policy noeviction, and the same in redis.conf");
    if seen.maxmemory > 0 && seen.policy != "noeviction" {
        let seen = said!("maxmemory-policy is {policy}: rooms are thrown away when it is full", policy = seen.policy);
        found.push(Verdict::fail(NAME, seen, evicts()));
    } else if seen.policy != "noeviction" {
        let seen = said!(
            "maxmemory-policy is {policy}, and would throw rooms away once maxmemory is set",
            policy = seen.policy
        );
        found.push(Verdict::warn(NAME, seen, evicts()));
    }
    if !seen.appends {
        let cure = said!("CONFIG SET appendonly yes, and the same in redis.conf");
        let seen = if seen.saves == Some(false) {
            said!("it keeps nothing on its disk: a restart of Redis ends all rooms")
        } else {
            said!("it has snapshots only: a crash of Redis loses the last minutes")
        };
        found.push(Verdict::warn(NAME, seen, cure));
    }
    if seen.replicas < replicas {
        let seen = said!(
            "{connected} replicas are connected, store.redis_replicas = {wanted}: changes are refused",
            connected = seen.replicas,
            wanted = replicas
        );
        found.push(Verdict::fail(NAME, seen, said!("start the replicas (REPLICAOF), or lower store.redis_replicas")));
    }
    if found.is_empty() {
        let Inspected { version, replicas, .. } = seen;
        let seen = format!("version {version}, noeviction, appendonly, {replicas} replicas");
        found.push(Verdict::ok(NAME, Said::plain(seen)));
    }
    found
}

/// Our clock against those of neighbours.
pub fn clock(redis: Option<(String, f64)>, webhooks: Option<(String, f64)>) -> Verdict {
    const NAME: &str = "clock";
    let Some((whose, ahead)) = redis.or(webhooks) else {
        let seen = "not compared: no Redis and no webhook is configured, and nobody else is asked";
        return Verdict::ok(NAME, Said::plain(seen));
    };
    let apart = ahead.abs();
    if apart <= APART[0] {
        return Verdict::ok(NAME, Said::plain(format!("as that of {whose}")));
    }
    let cure = said!(
        "let both machines follow a time server: timedatectl set-ntp true (signatures, URLs and bans hold times)"
    );
    let seconds = format!("{apart:.1}");
    let seen = if ahead > 0.0 {
        said!("{seconds} s behind that of {whose}", seconds = seconds, whose = whose)
    } else {
        said!("{seconds} s ahead of that of {whose}", seconds = seconds, whose = whose)
    };
    let judge = if apart > APART[1] { Verdict::fail } else { Verdict::warn };
    judge(NAME, seen, cure)
}

/// Whether receivers of webhooks answer. Nothing is posted.
pub async fn webhooks(settings: &Settings) -> Found {
    const NAME: &str = "webhooks";
    // What is wrong with the file is said of the settings.
    let Ok(client) = settings.webhooks.client() else { return Found { verdicts: Vec::new(), ahead: None } };
    let mut verdicts = Vec::new();
    let mut ahead = None;
    let urls = &settings.webhooks;
    for url in urls.urls.iter().chain(Some(&urls.ask_url).filter(|url| !url.is_empty())) {
        let answered = client.head(url, PATIENCE).await;
        if let Ok((_, Some(date))) = &answered {
            ahead = ahead.or_else(|| Some((shown::url(url), seconds(date)? - System.now().0 as f64 / 1000.0)));
        }
        verdicts.push(judge_webhook(&shown::url(url), answered.map(|(status, _)| status).map_err(|e| e.to_string())));
    }
    if verdicts.is_empty() {
        verdicts.push(Verdict::ok(NAME, Said::plain("not used")));
    }
    Found { verdicts, ahead }
}

fn judge_webhook(url: &str, answered: Result<u16, String>) -> Verdict {
    const NAME: &str = "webhooks";
    match answered {
        Ok(status @ 500..) => Verdict::warn(
            NAME,
            said!("{url} answers {status}", url = url, status = status),
            said!("look into the backend's log; events wait until they are accepted"),
        ),
        Ok(_) => Verdict::ok(NAME, Said::plain(format!("{url} answers"))),
        Err(why) => Verdict::fail(
            NAME,
            said!("{url}: {why}", url = url, why = why),
            said!(
                "start the backend, let this machine reach it, and see that its name and certificate are right (webhooks.ca for an authority of your own)"
            ),
        ),
    }
}

/// Unix seconds of a `Date` header (RFC 9110, section 5.6.7).
fn seconds(date: &str) -> Option<f64> {
    let form =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let read = PrimitiveDateTime::parse(date, form).ok()?;
    // Headers have whole seconds: the middle is meant.
    Some(read.assume_utc().unix_timestamp() as f64 + 0.5)
}

/// Whether Tencent's services admit us.
pub async fn clouds(clouds: &Clouds) -> Vec<Verdict> {
    const NAME: &str = "tencent";
    if clouds.live.is_none() && clouds.chat.is_none() {
        return vec![Verdict::ok(NAME, Said::plain("not used"))];
    }
    judge_clouds(clouds.check().await)
}

fn judge_clouds(said: Findings) -> Vec<Verdict> {
    const NAME: &str = "tencent";
    let found = said.live.into_iter().chain(said.im).map(|finding| {
        let seen = said!("{setting}: {why}", setting = finding.setting, why = finding.why);
        Verdict::fail(NAME, seen, said!("compare the setting with Tencent's console"))
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() { vec![Verdict::ok(NAME, Said::plain("admits us"))] } else { found }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::{Level, is};
    use super::*;
    use tencent::clouds::Finding;

    fn good() -> Inspected {
        Inspected {
            version: "7.0.15".into(),
            role: "master".into(),
            replicas: 1,
            maxmemory: 0,
            policy: "noeviction".into(),
            appends: true,
            saves: Some(true),
            ahead: 0,
        }
    }

    #[test]
    fn a_redis_that_may_lose_rooms_is_told() {
        is(&judge_redis(&good(), 1)[0], Level::Ok, "version 7.0.15", "");
        let judge = |change: fn(&mut Inspected)| {
            let mut seen = good();
            change(&mut seen);
            judge_redis(&seen, 1).remove(0)
        };
        is(&judge(|s| s.version = "6.2.1".into()), Level::Warn, "6.2.1 is older", "Redis 7");
        is(&judge(|s| s.role = "slave".into()), Level::Fail, "takes no changes", "redis-sentinel://");
        is(&judge(|s| (s.policy, s.maxmemory) = ("allkeys-lru".into(), 1)), Level::Fail, "thrown away", "noeviction");
        is(&judge(|s| s.policy = "allkeys-lru".into()), Level::Warn, "once maxmemory is set", "noeviction");
        is(&judge(|s| s.appends = false), Level::Warn, "snapshots only", "appendonly yes");
        is(&judge(|s| (s.appends, s.saves) = (false, Some(false))), Level::Warn, "ends all rooms", "appendonly yes");
        is(&judge(|s| s.replicas = 0), Level::Fail, "0 replicas are connected", "REPLICAOF");
    }

    #[tokio::test]
    async fn a_real_redis_is_looked_at_and_one_that_is_away_is_told() {
        let server = testkit::redis::RedisServer::start(&["--appendonly", "no"]);
        let mut settings = Settings::default();
        settings.store.kind = Place::Redis;
        settings.store.redis = sign::Secret::new(format!("redis://127.0.0.1:{}", server.port));
        let found = redis(&settings).await;
        is(&found.verdicts[0], Level::Warn, "ends all rooms", "appendonly yes");
        assert!(found.ahead.unwrap().1.abs() < 2.0);
        drop(server);
        is(&redis(&settings).await.verdicts[0], Level::Fail, "redis", "start Redis");
    }

    #[test]
    fn what_tencent_says_is_told() {
        is(&judge_clouds(Findings::default())[0], Level::Ok, "admits us", "");
        let finding = Finding { setting: "live.tencent.secretId".into(), why: "no such key".into() };
        let said = Findings { live: vec![finding], im: Vec::new() };
        is(&judge_clouds(said)[0], Level::Fail, "live.tencent.secretId: no such key", "Tencent's console");
    }

    #[test]
    fn clocks_apart_are_told() {
        is(&clock(None, None), Level::Ok, "not compared", "");
        is(&clock(Some(("Redis".into(), 0.4)), Some(("x".into(), 60.0))), Level::Ok, "Redis", "");
        is(&clock(None, Some(("x".into(), 5.0))), Level::Warn, "5.0 s behind that of x", "set-ntp");
        is(&clock(Some(("Redis".into(), -45.0)), None), Level::Fail, "45.0 s ahead of that of Redis", "set-ntp");
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777.5));
        assert_eq!(seconds("yesterday"), None);
    }

    #[tokio::test]
    async fn receivers_that_are_away_or_fail_are_told() {
        is(&judge_webhook("https://app", Ok(405)), Level::Ok, "answers", "");
        is(&judge_webhook("https://app", Ok(502)), Level::Warn, "502", "backend's log");
        let mut settings = Settings::default();
        settings.webhooks.urls = vec!["http://user:hunter2@127.0.0.1:1/hook".into()];
        let found = webhooks(&settings).await.verdicts;
        is(&found[0], Level::Fail, "127.0.0.1:1/hook", "start the backend");
        assert!(!found[0].seen.to_string().contains("hunter2"));
    }
}
