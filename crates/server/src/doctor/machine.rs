//! What the machine has: ffmpeg and its codecs, the disk and its speed, how many files may be open.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::sync::Mutex;

use super::verdict::Verdict;
use crate::config::Settings;
use crate::said::{Said, said};
use crate::usage;
use store::Place;
use streams::live;

/// Less free room than this is reported.
const LITTLE: u64 = 256 << 20;
/// How long ffmpeg may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the disk may take for all that is asked of it.
const ANSWERS: Duration = Duration::from_secs(5);
/// Writes that are timed.
const WRITES: usize = 40;
/// A disk slower than this makes callers wait, and much slower than that it is no disk for a journal.
const SLOW: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];
/// What mixes are made with.
const ENCODERS: [&str; 2] = ["libx264", "aac"];
/// What publishers send.
const DECODERS: [&str; 2] = ["h264", "aac"];
/// What some of them send. MP3 is AAC before it comes into a mix.
const MORE: [&str; 4] = ["hevc", "vp8", "vp9", "opus"];
/// Files that a server opens beside its connections.
const BESIDE: u64 = 512;

/// What an ffmpeg says of itself.
struct Ffmpeg {
    version: String,
    encoders: String,
    decoders: String,
}

/// ffmpeg, which makes mixes and renditions.
pub async fn ffmpeg(settings: &Settings) -> Verdict {
    if settings.live.provider == live::Provider::Tencent && settings.webrtc.renditions == 0 {
        return Verdict::ok("ffmpeg", Said::plain("not used: Tencent mixes"));
    }
    let program = &settings.mix.ffmpeg;
    let said = async {
        Ok(Ffmpeg {
            version: said(program, "-version").await?,
            encoders: said(program, "-encoders").await?,
            decoders: said(program, "-decoders").await?,
        })
    };
    judge_ffmpeg(program, said.await)
}

async fn said(program: &Path, what: &str) -> io::Result<String> {
    let mut command = Command::new(program);
    command.args(["-hide_banner", what]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await??;
    if !output.status.success() {
        return Err(io::Error::other(format!("{what} ends with {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn judge_ffmpeg(program: &Path, said: io::Result<Ffmpeg>) -> Verdict {
    const NAME: &str = "ffmpeg";
    let install = said!("install it (apt-get install ffmpeg), or name one with libx264 in mix.ffmpeg");
    let said = match said {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            let seen = said!("there is no {program}, so merge_stream is refused", program = program.display());
            return Verdict::warn(NAME, seen, install);
        }
        Err(why) => {
            let seen = said!("{program} does not run: {why}", program = program.display(), why = why);
            return Verdict::fail(NAME, seen, install);
        }
        Ok(said) => said,
    };
    let version = said.version.split_whitespace().nth(2).unwrap_or("of no known version").to_owned();
    // Lines are ` V....D libx264   what it is`.
    let has = |list: &str, name: &str| list.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
    let lacking = |list: &str, names: &[&str]| -> Vec<String> {
        names.iter().filter(|name| !has(list, name)).map(|name| (*name).to_owned()).collect()
    };
    let [encoders, decoders, more] =
        [lacking(&said.encoders, &ENCODERS), lacking(&said.decoders, &DECODERS), lacking(&said.decoders, &MORE)];
    if !encoders.is_empty() || !decoders.is_empty() {
        let lacks = [encoders, decoders].concat().join(", ");
        return Verdict::fail(
            NAME,
            said!("{version} lacks {lacks}: mixes fail", version = version, lacks = lacks),
            said!("install a build with it (Debian's and Ubuntu's ffmpeg have all), or name one in mix.ffmpeg"),
        );
    }
    let major = version.trim_start_matches('n').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < 4) {
        return Verdict::warn(
            NAME,
            said!("{version} is older than what mixes are tried with", version = version),
            said!("install ffmpeg 4.2 or later"),
        );
    }
    if !more.is_empty() {
        let seen = said!(
            "{version} cannot decode {lacks}: streams in that are black or silent in mixes",
            version = version,
            lacks = more.join(", ")
        );
        return Verdict::warn(NAME, seen, said!("install a build with these decoders, or name one in mix.ffmpeg"));
    }
    Verdict::ok(NAME, Said::plain(format!("{version} with libx264, aac and what publishers send")))
}

/// What is wrong with the disk of `data_dir`, as far as is known without asking it.
#[must_use]
pub fn trouble_of(space: &usage::Space) -> Option<Said> {
    if space.is_silent() {
        return Some(said!("the disk of data_dir does not answer"));
    }
    space.last().is_some_and(|(free, _)| free < LITTLE).then(|| said!("little room is left for data_dir"))
}

/// The disk of `data_dir`: its room, and how long it takes until something is really on it.
pub async fn disk(settings: &Settings) -> Vec<Verdict> {
    let data_dir = settings.data_dir.clone();
    let journal = settings.store.kind == Place::Journal;
    let look = move || {
        let directory = there(&data_dir);
        let timed = time_writes(&directory);
        let room = usage::disk(&directory).map(|(free, _)| free);
        judge_disk(&data_dir, room, timed, journal)
    };
    within(ANSWERS, look).await.unwrap_or_else(|| {
        let seen = said!("the disk of data_dir {directory} does not answer", directory = settings.data_dir.display());
        let cure =
            said!("look at the disk, or at the server that it is mounted from (dmesg, mount); or set another data_dir");
        vec![Verdict::fail("disk", seen, cure)]
    })
}

/// Looks at the disk away from the threads that all else runs on; nothing where that takes too long. A look that hangs is
/// waited for by the next one: there is never more than one.
async fn within<T: Send + 'static>(time: Duration, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    static ALONE: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);
    let looked = async {
        let alone = ALONE.clone().lock_owned().await;
        let look = move || {
            let seen = look();
            drop(alone);
            seen
        };
        tokio::task::spawn_blocking(look).await.ok()
    };
    tokio::time::timeout(time, looked).await.ok().flatten()
}

/// The directory, or where it would be made.
fn there(directory: &Path) -> PathBuf {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    absolute.ancestors().find(|at| at.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// A file that goes when it is no longer needed.
struct Tried(PathBuf);

impl Drop for Tried {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Times of small writes that are waited for, in order of length.
fn time_writes(directory: &Path) -> io::Result<Vec<Duration>> {
    // No other look has this name, and none that was killed has left it.
    let path = directory.join(format!(".doctor-{:016x}", sign::fresh_id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let _tried = Tried(path);
    let write = |file: &mut std::fs::File| {
        let begun = Instant::now();
        file.write_all(&[0; 4096]).and_then(|()| file.sync_data()).map(|()| begun.elapsed())
    };
    let begun = Instant::now();
    let mut times = Vec::new();
    let tried = loop {
        match write(&mut file) {
            Err(why) => break Err(why),
            Ok(took) => times.push(took),
        }
        // A slow disk is known after a few.
        if times.len() == WRITES || begun.elapsed() > Duration::from_secs(2) {
            break Ok(());
        }
    };
    tried?;
    times.sort_unstable();
    Ok(times)
}

fn judge_disk(data_dir: &Path, room: Option<u64>, timed: io::Result<Vec<Duration>>, journal: bool) -> Vec<Verdict> {
    const NAME: &str = "disk";
    let directory = data_dir.display();
    let times = match timed {
        Err(why) => {
            let cure = if data_dir.is_relative() {
                said!(
                    "a relative data_dir is below where each program was started: set it in the file to where the server has its data, such as \"/var/lib/roomservice\", and ask as the user that runs the server"
                )
            } else {
                said!(
                    "give data_dir to the user that runs the server (chown), and ask as that user; or set another data_dir"
                )
            };
            let seen = said!("data_dir {directory} cannot be written: {why}", directory = directory, why = why);
            return vec![Verdict::fail(NAME, seen, cure)];
        }
        Ok(times) => times,
    };
    let mut found = Vec::new();
    match room {
        Some(free) if free < LITTLE => {
            let cure = said!(
                "make room, or set data_dir (and record.dir) to a larger disk; recordings give way by record.quota_bytes"
            );
            let seen = said!("{free} MB are free for data_dir {directory}", free = free >> 20, directory = directory);
            found.push(Verdict::fail(NAME, seen, cure));
        }
        Some(free) => {
            let seen = format!("{} GB are free for data_dir {directory}", free >> 30);
            found.push(Verdict::ok(NAME, Said::plain(seen)));
        }
        None => {}
    }
    let [middle, longest] =
        [times.len() / 2, times.len().saturating_sub(1)].map(|at| times.get(at).copied().unwrap_or_default());
    let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    if !journal || middle < SLOW[0] {
        let seen = format!("a write is on the disk after {} ms, {} ms at the most", millis(middle), millis(longest));
        found.push(Verdict::ok(NAME, Said::plain(seen)));
        return found;
    }
    let seen = said!(
        "a write is on the disk after {middle} ms, {longest} ms at the most: every change of a room waits for that",
        middle = millis(middle),
        longest = millis(longest)
    );
    let cure = said!(
        "put data_dir on a local SSD; or set store.durability = \"none\", which loses the last moments before a crash"
    );
    let judge = if middle < SLOW[1] { Verdict::warn } else { Verdict::fail };
    found.push(judge(NAME, seen, cure));
    found
}

/// Where recordings go, if there are any: whether a file can be made there, and whether as many find room as are allowed. What
/// cannot be written is known before the first recording is lost.
pub async fn recordings(settings: &Settings) -> Option<Verdict> {
    let directory = settings.record.enabled.then(|| settings.record.directory(&settings.data_dir))?;
    let tried = directory.clone();
    let quota = settings.record.quota_bytes;
    let looked = within(ANSWERS, move || {
        let there = there(&tried);
        try_file(&there)
            .map(|()| usage::disk(&there).map(|(free, disk)| (room_for(free, disk, recorded(&tried)), quota)))
    });
    Some(judge_recordings(&directory, looked.await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))))
}

/// Bytes that recordings can take of a disk on which they have some.
fn room_for(free: u64, disk: u64, recorded: u64) -> u64 {
    free.saturating_sub(media::record::spare(disk)).saturating_add(recorded)
}

/// Bytes of the recordings in a directory.
fn recorded(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let films = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "mp4"));
    films.filter_map(|film| film.metadata().ok()).map(|found| found.len()).sum()
}

/// Of the room for recordings and their quota, where that can be told.
fn judge_recordings(directory: &Path, wrote: io::Result<Option<(u64, u64)>>) -> Verdict {
    const NAME: &str = "record.dir";
    let at = directory.display();
    let why = match wrote {
        Ok(Some((room, quota))) if room < quota => {
            let [room, quota] = [room, quota].map(|bytes| bytes >> 20);
            let seen = said!(
                "{at} has room for {room} MB of recordings, and record.quota_bytes allows {quota} MB: the oldest go earlier",
                at = at,
                room = room,
                quota = quota
            );
            let cure = said!(
                "set record.quota_bytes to less than that, make room, or set record.dir to another disk than data_dir's"
            );
            return Verdict::warn(NAME, seen, cure);
        }
        Ok(_) => return Verdict::ok(NAME, Said::plain(format!("recordings can be written to {at}"))),
        Err(why) => why,
    };
    let seen = said!("{at} cannot be written, so every recording is lost: {why}", at = at, why = why);
    let edit = format!("systemctl edit roomservice, [Service], ReadWritePaths={at}, systemctl restart roomservice");
    let cure = if why.kind() == io::ErrorKind::ReadOnlyFilesystem {
        said!("the service's unit lets it write to its data alone: {edit}; or mount the disk for writing", edit = edit)
    } else {
        said!(
            "give it to the user that runs the server (chown); and where a unit bounds what may be written: {edit}",
            edit = edit
        )
    };
    Verdict::fail(NAME, seen, cure)
}

/// Makes a file, and takes it away again.
fn try_file(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".doctor-{:016x}", sign::fresh_id()));
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    drop(Tried(path));
    Ok(())
}

/// How many files may be open: every connection is one.
pub fn files(settings: &Settings) -> Verdict {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    judge_files(limit.maximum.unwrap_or(u64::MAX), settings.http.max_connections as u64)
}

/// Whether calls are answered when the chat is full: its WebSockets are connections, too. None: they are.
pub fn connections(settings: &Settings) -> Option<Verdict> {
    judge_connections(settings.http.max_connections, settings.chat.max_connections)
}

fn judge_connections(http: usize, chat: usize) -> Option<Verdict> {
    let seen = || {
        said!(
            "chat.max_connections = {chat} leaves no connection of http.max_connections = {http} for calls",
            http = http,
            chat = chat
        )
    };
    (http <= chat).then(|| Verdict::warn("connections", seen(), said!("a higher http.max_connections")))
}

fn judge_files(most: u64, connections: u64) -> Verdict {
    const NAME: &str = "files";
    if most >= connections.saturating_add(BESIDE).max(1024) {
        let bounded = || format!("{most} may be open, enough for http.max_connections = {connections}");
        let seen = if most == u64::MAX { "as many as wanted may be open".into() } else { bounded() };
        return Verdict::ok(NAME, Said::plain(seen));
    }
    let cure = said!(
        "LimitNOFILE=1048576 in the systemd unit, --ulimit nofile=1048576 for docker, or a lower http.max_connections"
    );
    let seen = said!(
        "{most} may be open, fewer than http.max_connections = {connections}",
        most = most,
        connections = connections
    );
    let judge = if most < 1024 { Verdict::fail } else { Verdict::warn };
    judge(NAME, seen, cure)
}

#[cfg(test)]
mod tests {
    use super::super::verdict::{Level, is};
    use super::*;

    fn list(names: &[&str]) -> String {
        names.iter().map(|name| format!(" V....D {name}   what it is\n")).collect()
    }

    fn ffmpeg(version: &str, encoders: &[&str], decoders: &[&str]) -> Verdict {
        let said = Ffmpeg {
            version: format!("ffmpeg version {version} Copyright"),
            encoders: list(encoders),
            decoders: list(decoders),
        };
        judge_ffmpeg(Path::new("ffmpeg"), Ok(said))
    }

    /// The image's own ffmpeg is built with these parts and no others.
    #[test]
    fn the_images_ffmpeg_has_what_is_looked_for() {
        let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/Dockerfile")).unwrap();
        let parts = |flag: &str| -> Vec<String> {
            let listed = file.split(flag).nth(1).unwrap().split_whitespace().next().unwrap();
            listed.split(',').map(String::from).collect()
        };
        let [encoders, decoders] = ["--enable-encoder=", "--enable-decoder="].map(parts);
        assert!(ENCODERS.iter().all(|name| encoders.iter().any(|part| part == name)), "{encoders:?}");
        let looked = DECODERS.iter().chain(&MORE);
        let lacks: Vec<_> = looked.filter(|name| !decoders.iter().any(|part| part == *name)).collect();
        assert!(lacks.is_empty(), "deploy/Dockerfile builds without {lacks:?}");
    }

    #[test]
    fn ffmpeg_is_missing_broken_old_or_lacks_a_codec() {
        let all = [&DECODERS[..], &MORE[..]].concat();
        is(&ffmpeg("7.1.2", &ENCODERS, &all), Level::Ok, "7.1.2 with libx264", "");
        is(&ffmpeg("n8.0", &["aac"], &all), Level::Fail, "lacks libx264", "mix.ffmpeg");
        is(&ffmpeg("7.1", &ENCODERS, &["h264"]), Level::Fail, "lacks aac", "mix.ffmpeg");
        is(&ffmpeg("3.4.11", &ENCODERS, &all), Level::Warn, "3.4.11 is older", "4.2 or later");
        is(&ffmpeg("7.1", &ENCODERS, &DECODERS), Level::Warn, "cannot decode hevc", "these decoders");
        let gone = judge_ffmpeg(Path::new("ffmpeg9"), Err(io::ErrorKind::NotFound.into()));
        is(&gone, Level::Warn, "there is no ffmpeg9", "apt-get install ffmpeg");
        let broken = judge_ffmpeg(Path::new("ffmpeg9"), Err(io::ErrorKind::PermissionDenied.into()));
        is(&broken, Level::Fail, "does not run", "mix.ffmpeg");
    }

    #[tokio::test]
    async fn the_ffmpeg_of_this_machine_is_asked() {
        let mut settings = Settings::default();
        assert_eq!(super::ffmpeg(&settings).await.level, Level::Ok, "ffmpeg is installed wherever tests run");
        settings.mix.ffmpeg = "/no such program".into();
        is(&super::ffmpeg(&settings).await, Level::Warn, "there is no /no such program", "apt-get");
        settings.mix.ffmpeg = "false".into();
        is(&super::ffmpeg(&settings).await, Level::Fail, "-version ends with exit status: 1", "mix.ffmpeg");
    }

    #[test]
    fn a_disk_is_full_slow_or_not_ours() {
        let fast = || Ok(vec![Duration::from_millis(1); 3]);
        let judge = |room, timed, journal| judge_disk(Path::new("/data"), room, timed, journal);
        is(&judge(Some(1 << 40), fast(), true)[0], Level::Ok, "1024 GB", "");
        is(&judge(Some(1 << 20), fast(), true)[0], Level::Fail, "1 MB are free", "make room");
        is(
            &judge(None, Err(io::ErrorKind::PermissionDenied.into()), true)[0],
            Level::Fail,
            "cannot be written",
            "chown",
        );
        let relative = judge_disk(Path::new("data"), None, Err(io::ErrorKind::PermissionDenied.into()), true);
        is(&relative[0], Level::Fail, "cannot be written", "set it in the file to where the server has its data");
        for (took, level) in [(30, Level::Warn), (400, Level::Fail)] {
            let timed = || Ok(vec![Duration::from_millis(took); 3]);
            is(&judge(None, timed(), true)[0], level, "every change of a room waits", "local SSD");
            is(&judge(None, timed(), false)[0], Level::Ok, "ms at the most", "");
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(!time_writes(dir.path()).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left there");
        // One that was killed left its file: in a container the next process has the same number.
        std::fs::write(dir.path().join(format!(".doctor-{}", std::process::id())), "").unwrap();
        std::thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| time_writes(dir.path()).is_ok()));
            assert!(both.into_iter().all(|one| one.join().unwrap()), "two at once");
        });
        assert!(time_writes(Path::new("/proc")).is_err());
        assert_eq!(there(&dir.path().join("not/yet")), dir.path());
    }

    #[tokio::test]
    async fn where_recordings_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings { data_dir: dir.path().into(), ..Settings::default() };
        assert_eq!(recordings(&settings).await, None, "there are none");
        settings.record.enabled = true;
        settings.record.quota_bytes = 1 << 20;
        is(&recordings(&settings).await.unwrap(), Level::Ok, "recordings can be written", "");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left there");
        settings.record.dir = "/proc".into();
        is(&recordings(&settings).await.unwrap(), Level::Fail, "/proc cannot be written", "ReadWritePaths=/proc");
        settings.record.dir = dir.path().into();
        settings.record.quota_bytes = u64::MAX;
        is(&recordings(&settings).await.unwrap(), Level::Warn, "the oldest go earlier", "record.dir to another disk");
        std::fs::write(dir.path().join("s.1.mp4"), [0; 1000]).unwrap();
        std::fs::write(dir.path().join("notes.txt"), [0; 1000]).unwrap();
        assert_eq!(recorded(dir.path()), 1000);
        assert_eq!(room_for(100, 100, 7), 102);
        let sandboxed = judge_recordings(Path::new("/srv/rec"), Err(io::ErrorKind::ReadOnlyFilesystem.into()));
        is(&sandboxed, Level::Fail, "every recording is lost", "systemctl edit roomservice");
    }

    #[tokio::test]
    async fn a_disk_that_does_not_answer_holds_up_nobody() {
        let hangs = Arc::new(std::sync::Barrier::new(2));
        let held = hangs.clone();
        let short = Duration::from_millis(50);
        assert_eq!(within(short, move || held.wait().is_leader()).await, None);
        let begun = Instant::now();
        assert_eq!(within(short, || 1).await, None, "no second thread hangs in it");
        assert!(begun.elapsed() < Duration::from_secs(5));
        hangs.wait();
        assert_eq!(within(Duration::from_secs(60), || 2).await, Some(2), "it answers again");
    }

    #[test]
    fn few_files_are_told() {
        is(&judge_files(256, 50_000), Level::Fail, "256 may be open", "LimitNOFILE");
        is(&judge_files(4096, 50_000), Level::Warn, "fewer than http.max_connections = 50000", "--ulimit");
        is(&judge_files(1 << 20, 50_000), Level::Ok, "enough", "");
        let both = judge_connections(50_000, 50_000).unwrap();
        is(&both, Level::Warn, "chat.max_connections = 50000 leaves no connection", "a higher");
        assert!(judge_connections(100_000, 50_000).is_none());
    }
}
