//! The command line.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use room::UserId;

use crate::about;
use crate::config::{DEFAULT_FILE, Mode, Settings};
use crate::doctor::{self, Level, Verdict};
use crate::http;
use crate::keys;
use crate::lan;
use crate::load;
use crate::plan;
use crate::print;
use crate::process;
use crate::reload::Reload;
use crate::said::said;
use crate::setup;
use access::identity::Identity;
use access::operator::{self, Grants, Operators};
use store::clock::{Clock, System};
use streams::live::{Base, Scheme, Urls};
use tencent::clouds::Clouds;
use tencent::import;

/// The backend of live streams and video rooms: rooms, signatures, media and chat in one process.
#[derive(Parser)]
#[command(version, long_version = about::version())]
struct Arguments {
    /// Settings; without it, development mode on this machine.
    #[arg(long, short, global = true, env = "ROOMSERVICE_CONFIG")]
    config: Option<PathBuf>,
    /// Without --config: take /etc/roomservice/roomservice.toml, or where that is missing this file, which is written for
    /// production mode with fresh keys if it is missing too. Containers start so.
    #[arg(long, global = true, value_name = "FILE", env = "ROOMSERVICE_SETUP")]
    setup: Option<PathBuf>,
    /// For trying out with phones: serve the network that this machine is in, too, by HTTPS with a certificate made here. Everyone
    /// in that network can then log in as anyone. ADDRESS: where this machine has several.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1)]
    lan: Option<Option<IpAddr>>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (what happens without a command).
    Serve,
    /// Say what is wrong with the settings, or print them without secrets.
    CheckConfig {
        /// Ask every configured service as well, and print what each says.
        #[arg(long)]
        online: bool,
    },
    /// Look at everything around the server: addresses, ports, ffmpeg, clock, disk, Redis, certificate, webhooks. Says what to do
    /// about what is wrong, and ends with 1 if anything fails.
    Doctor {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Play streams and make room calls against a server that is named, and say how it goes.
    Load(load::Arguments),
    /// Say how many machines an app needs, by what was measured (docs/capacity.md), and where more of them do not help.
    Plan(plan::Arguments),
    /// Make a configuration file of the first servers' config.js.
    ImportConfig {
        /// The file to read.
        file: PathBuf,
        /// The file to write; it must not exist yet.
        #[arg(long, default_value = "roomservice.toml")]
        out: PathBuf,
    },
    /// Print every setting with its default, as a file to start from.
    DefaultConfig,
    /// Print fresh keys for a configuration file.
    Keygen,
    /// Print the OpenAPI document of the operator API, to make clients of.
    Openapi,
    /// Write a file for production mode with fresh keys, unless it is there.
    Setup {
        /// The file.
        file: PathBuf,
        /// Let it name this directory for data.
        #[arg(long, value_name = "DIRECTORY")]
        data_dir: Option<PathBuf>,
    },
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions {
        /// Which.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    #[command(hide = true)]
    Man,
    /// Print a user signature.
    Usersig {
        /// The user.
        #[arg(long)]
        user: String,
    },
    /// Print a short token for the operator API, signed with the first of operator.keys.
    OperatorToken {
        /// What it allows: roomList, roomCreate, roomRecord, userAdmin, tokenCreate, serverAdmin, or roomAdmin=ROOM (* for every
        /// room). May be given several times, or with commas.
        #[arg(long = "grant", required = true, value_delimiter = ',')]
        grants: Vec<String>,
        /// For how long: seconds, or 90s, 15m, 24h; a day at most.
        #[arg(long, default_value = "1h")]
        ttl: String,
    },
    /// Print a signed push URL.
    PushUrl {
        /// The user who pushes.
        #[arg(long)]
        user: String,
        /// The room, for the stable stream of a user in it.
        #[arg(long)]
        room: Option<String>,
        /// The host that the URL leads to.
        #[arg(long, default_value = "localhost")]
        host: String,
    },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            print::error(format_args!("roomservice: {problem}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let Arguments { config, setup, lan, command } = arguments;
    let command = command.unwrap_or(Command::Serve);
    if lan.is_some() && !matches!(command, Command::Serve) {
        return Err("--lan goes with serve, and with no other command".into());
    }
    let Some(command) = without_settings(command)? else { return Ok(()) };
    let config = match (config, setup) {
        (None, Some(place)) => Some(first_settings(&place)?),
        (config, _) => config,
    };
    let variables =
        std::env::vars().filter(|(name, _)| !["ROOMSERVICE_CONFIG", "ROOMSERVICE_SETUP"].contains(&&**name));
    let (mut settings, reload) = Reload::load(config, variables.collect()).map_err(|e| e.to_string())?;
    match command {
        Command::CheckConfig { online } => {
            if online {
                keys::complete(&mut settings).map_err(|e| e.to_string())?;
            }
            check(&settings)?;
            if online { check_online(settings) } else { Ok(()) }
        }
        Command::Doctor { json } => examine(&settings, json),
        Command::Usersig { user } => {
            keys::complete(&mut settings).map_err(|e| e.to_string())?;
            let user = UserId::parse(&user).map_err(|e| format!("--user: {e:?}"))?;
            let identity = Identity::new(settings.im)?;
            print::line(identity.sign(&user, System.now()).map_err(|e| e.to_string())?);
            Ok(())
        }
        Command::OperatorToken { grants, ttl } => {
            keys::complete(&mut settings).map_err(|e| e.to_string())?;
            print::line(operator_token(&settings, &grants, &ttl)?);
            Ok(())
        }
        Command::PushUrl { user, room, host } => {
            keys::complete(&mut settings).map_err(|e| e.to_string())?;
            push_url(&settings, &user, room.as_deref(), &host)
        }
        _ => {
            settings.lan = lan.map(|asked| lan::address(asked, settings.mode == Mode::Production)).transpose()?;
            if settings.lan.is_some() {
                lan::trusts_nobody(&settings.http.trusted_proxies)?;
            }
            process::serve(settings, reload)
        }
    }
}

/// Runs a command that reads no settings, or hands it back.
fn without_settings(command: Command) -> Result<Option<Command>, String> {
    match command {
        Command::DefaultConfig => print::text(DEFAULT_FILE),
        Command::Keygen => print::text(setup::fresh_keys()),
        Command::Openapi => print::line(http::description()),
        Command::Setup { file, data_dir } => {
            let written = setup::write(&file, data_dir.as_deref()).map_err(|e| format!("{}: {e}", file.display()))?;
            let done = if written { "is written, with fresh keys." } else { "is there already." };
            print::line(format_args!("{} {done}", file.display()));
        }
        Command::Completions { shell } => print::text(about::completions::<Arguments>(shell)),
        Command::Man => print::text(about::manual::<Arguments>().map_err(|e| e.to_string())?),
        Command::Load(arguments) => load::run(&arguments)?,
        Command::Plan(arguments) => plan::run(&arguments)?,
        Command::ImportConfig { file, out } => import_config(&file, &out)?,
        other => return Ok(Some(other)),
    }
    Ok(None)
}

fn first_settings(place: &Path) -> Result<PathBuf, String> {
    let found = setup::find_or_write(place).map_err(|e| format!("--setup {}: {e}", place.display()))?;
    if let (file, true) = &found {
        let file = file.display();
        print::error(format_args!("roomservice: first start, in production mode: fresh keys are in {file}"));
        print::error("  operator.keys there opens /console; im.secretKey signs users (docs/recipes/tokens.md)");
        print::error("  this is HTTP without TLS: put a proxy in front before others come (docs/deploy.md)");
    }
    Ok(found.0)
}

fn operator_token(settings: &Settings, grants: &[String], ttl: &str) -> Result<String, String> {
    let grants = Grants::parse(grants).map_err(|e| format!("--grant {e}"))?;
    let seconds = seconds(ttl).filter(|seconds| (1..=operator::LONGEST).contains(seconds));
    let seconds = seconds.ok_or_else(|| format!("--ttl {ttl}: from 1s to {}h", operator::LONGEST / 3600))?;
    let operators = Operators::new(&settings.operator, settings.mode == Mode::Development);
    operators.issue(&grants, seconds, System.now()).ok_or_else(|| "operator.keys is empty: nothing to sign with".into())
}

/// `90`, `90s`, `15m`, `24h`.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn push_url(settings: &Settings, user: &str, room: Option<&str>, host: &str) -> Result<(), String> {
    let user = UserId::parse(user).map_err(|e| format!("--user: {e:?}"))?;
    let room = room.map(room::RoomId::parse).transpose().map_err(|e| format!("--room: {e:?}"))?;
    let urls = Urls::new(&settings.live, settings.rtmp.listen.port());
    let stream = urls
        .stream(room.as_ref(), &user, (sign::fresh_id() & 0xffff) as u16)
        .map_err(|e| format!("no stream name: {e:?}"))?;
    print::line(urls.push(&Base { scheme: Scheme::Http, authority: host }, &stream, System.now()));
    Ok(())
}

fn check(settings: &Settings) -> Result<(), String> {
    let mut problems = settings.problems();
    problems.extend(Identity::new(settings.im.clone()).err());
    if !problems.is_empty() {
        return Err(format!("the settings do not fit:\n{}", problems.join("\n")));
    }
    print::text(toml::to_string(settings).map_err(|e| e.to_string())?);
    let warnings = settings.warnings();
    for warning in &warnings {
        print::line(format_args!("# Take care: {warning}"));
    }
    print::line(format_args!(
        "# The settings fit{}",
        if warnings.is_empty() { "." } else { ", and see what is said above." }
    ));
    Ok(())
}

/// Prints what the doctor finds.
fn examine(settings: &Settings, json: bool) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let (clouds, wrong) = match Clouds::of(settings.clouds()) {
        Ok(clouds) => (clouds, None),
        Err(why) => {
            let cure = said!("mend the settings of [im] and [chat.tencent]");
            (Clouds::default(), Some(Verdict::fail("tencent", said!("{why}", why = why), cure)))
        }
    };
    let mut found = runtime.block_on(doctor::examine(settings, &clouds, None));
    // Who waits for a disk that does not answer is not waited for.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    found.extend(wrong);
    if json {
        print::line(serde_json::to_string_pretty(&found).map_err(|e| e.to_string())?);
    } else {
        print::text(doctor::page(&found));
    }
    match found.iter().filter(|verdict| verdict.level == Level::Fail).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} checks fail", found.len())),
    }
}

/// Asks each service; prints a line for each.
fn check_online(settings: Settings) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let clouds = Clouds::of(settings.clouds())?;
    let found = runtime.block_on(clouds.check());
    let mut wrong = false;
    let services = [("live", clouds.live.is_some(), found.live), ("im", clouds.chat.is_some(), found.im)];
    print::line(format_args!("# {:<8} {:<28} answer", "service", "setting"));
    for (service, configured, findings) in services {
        if findings.is_empty() {
            print::line(format_args!(
                "# {service:<8} {:<28} {}",
                "",
                if configured { "admits us" } else { "embedded: nothing to ask" }
            ));
        }
        for finding in findings {
            wrong = true;
            print::line(format_args!("# {service:<8} {:<28} {}", finding.setting, finding.why));
        }
    }
    if wrong { Err("a service does not admit us with these settings".into()) } else { Ok(()) }
}

fn import_config(file: &Path, out: &Path) -> Result<(), String> {
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|f| f.take(import::MAX_FILE + 1).read_to_string(&mut text));
    read.map_err(|e| format!("{}: {e}", file.display()))?;
    let imported = import::import(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    // It holds keys: for its owner only, and never over a file that is there.
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    made.and_then(|mut f| f.write_all(imported.toml.as_bytes())).map_err(|e| format!("{}: {e}", out.display()))?;
    print::line(format_args!("{} is written, with {} settings.", out.display(), imported.taken));
    for note in imported.notes {
        print::line(format_args!("  {note}"));
    }
    print::line(format_args!("Look it through, then: roomservice --config {} check-config", out.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [("90", Some(90)), ("90s", Some(90)), ("15m", Some(900)), ("24h", Some(86_400))] {
            assert_eq!(seconds(text), expected, "{text}");
        }
        for wrong in ["", "h", "-1s", "1d", "1.5h", "99999999999999999999", "9999999999999999999h", "1é"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_printed_token_allows_what_was_granted() {
        let mut settings = Settings::default();
        let grants = ["roomList".to_owned(), "roomAdmin=hall".to_owned()];
        assert!(operator_token(&settings, &grants, "1h").unwrap_err().contains("operator.keys"));
        settings.operator.keys = vec![sign::Secret::new("a key that may do everything")];
        settings.mode = Mode::Production;
        let token = operator_token(&settings, &grants, "15m").unwrap();
        let operators = Operators::new(&settings.operator, settings.mode == Mode::Development);
        let operator = operators.admit(Some(&token), System.now()).unwrap();
        let room = room::RoomId::parse("hall").unwrap();
        assert!(operator.may(operator::Need::Look) && operator.may(operator::Need::Room(&room)));
        assert!(!operator.may(operator::Need::Users) && !operator.may(operator::Need::Create));
        assert!(operators.admit(Some(&token), System.now().plus(901_000)).is_none());
        for (grant, ttl) in
            [("everything", "1h"), ("roomAdmin", "1h"), ("roomList=a", "1h"), ("roomList", "25h"), ("roomList", "0")]
        {
            assert!(operator_token(&settings, &[grant.to_owned()], ttl).is_err(), "{grant} {ttl}");
        }
        let twice = ["roomAdmin=a".to_owned(), "roomAdmin=b".to_owned()];
        assert!(operator_token(&settings, &twice, "1h").is_err(), "one room a token");
    }
}
