//! The server as a child process: its working directory, its ports, its core, and what /proc says of it.
//! Knows no call of the protocol beyond "something answers".

use crate::Failure;
use crate::http::{self, Connection};
use crate::table::Verdict;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The unit of utime and stime in /proc, on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Which cores the two sides run on, which program is measured, and whether a target that is missed counts.
#[derive(clap::Args, Clone)]
pub struct Setup {
    /// The program to measure, a release build.
    #[arg(long, default_value = "target/dist/roomservice")]
    pub bin: PathBuf,
    /// The core that the server (or the bare handler) is pinned to.
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// The core that this generator is pinned to.
    #[arg(long, default_value_t = 1)]
    pub generator_core: usize,
    /// Fail when a target is missed.
    #[arg(long)]
    strict: bool,
}

impl Setup {
    /// What a measurement comes to: a target that is missed counts where that was asked for.
    pub fn judge(&self, verdict: Verdict) -> Verdict {
        if self.strict { verdict } else { Verdict::Reached }
    }

    /// Pins this process to its core. To be called before the first thread is made: threads inherit it.
    pub fn pin_generator(&self) -> Result<(), Failure> {
        let core = self.generator_core.to_string();
        let id = std::process::id().to_string();
        let done = Command::new("taskset").args(["-p", "-c", &core, &id]).stdout(Stdio::null()).status()?;
        if done.success() { Ok(()) } else { Err(format!("taskset could not pin this process to core {core}").into()) }
    }

    /// A command that runs `program` on the server's core.
    fn pinned(&self, program: &Path) -> Command {
        on_core(self.server_core, program)
    }
}

/// A command that runs `program` on a core, and not longer than this process.
pub fn on_core(core: usize, program: &Path) -> Command {
    let mut command = bound("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// A command whose process does not outlive this one, however this one ends. `setpriv` and `taskset` replace
/// themselves by the program, so the child's process id is the program's.
pub fn bound(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

/// A directory of our own under the system's temporary one, removed with everything in it at the end.
pub struct Workspace(PathBuf);

impl Workspace {
    /// Makes the directory.
    pub fn new() -> Result<Self, Failure> {
        let nanoseconds = std::time::UNIX_EPOCH.elapsed()?.as_nanos();
        let path = std::env::temp_dir().join(format!("roomservice-bench-{}-{nanoseconds}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Workspace(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it and gives its path.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        fs::write(&path, content)?;
        Ok(path)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // Leaving rubbish in /tmp is not worth hiding the real outcome.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A child process that is ended and waited for when it goes out of scope.
pub struct Running(Child);

impl Running {
    /// Starts `command` with its output in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self, Failure> {
        let out = File::create(log)?;
        let both = out.try_clone()?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(both).spawn();
        Ok(Running(child.map_err(|why| format!("cannot start {:?}: {why}", command.get_program()))?))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Its numbers so far.
    pub fn usage(&self) -> Result<Usage, Failure> {
        Usage::of(self.0.id())
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>, Failure> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell in either case.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server under measurement.
pub struct Server {
    /// The process.
    pub process: Running,
    /// Where its HTTP answers.
    pub http: SocketAddr,
    /// Where it takes RTMP.
    pub rtmp: SocketAddr,
    log: PathBuf,
    /// From before the process was made until HTTP answered.
    pub started_in: Duration,
}

impl Server {
    /// Starts the program under measurement in `workspace` and waits until it answers.
    pub fn roomservice(setup: &Setup, workspace: &Workspace, config: Option<&Path>) -> Result<Self, Failure> {
        let bin = fs::canonicalize(&setup.bin)
            .map_err(|why| format!("{}: {why} (cargo build --release -p roomservice first)", setup.bin.display()))?;
        let http = free_port()?;
        let rtmp = free_port()?;
        let mut command = setup.pinned(&bin);
        command
            .current_dir(workspace.path())
            .env("ROOMSERVICE_HTTP__LISTEN", http.to_string())
            .env("ROOMSERVICE_RTMP__LISTEN", rtmp.to_string())
            .env("ROOMSERVICE_DATA_DIR", workspace.path().join("data"))
            // All players of a measurement share one URL, and so one user.
            .env("ROOMSERVICE_LIMITS__USER_STREAMS", "1000000");
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        Self::start(&mut command, &workspace.path().join("server.out"), http, rtmp)
    }

    /// Starts the bare handler of this same program on the server's core.
    pub fn bare(setup: &Setup, workspace: &Workspace) -> Result<Self, Failure> {
        let http = free_port()?;
        let mut command = setup.pinned(&std::env::current_exe()?);
        command.args(["bare", "--listen", &http.to_string()]);
        Self::start(&mut command, &workspace.path().join("bare.out"), http, http)
    }

    /// Where it takes the media of WebRTC, as it says itself.
    pub fn udp(&self) -> Result<SocketAddr, Failure> {
        let said = fs::read_to_string(&self.log)?;
        let udp = said.split("media over UDP ").nth(1).and_then(|rest| rest.lines().next());
        Ok(udp.ok_or("the server does not say where its UDP port is")?.trim().parse()?)
    }

    fn start(command: &mut Command, log: &Path, http: SocketAddr, rtmp: SocketAddr) -> Result<Self, Failure> {
        let began = Instant::now();
        let mut process = Running::start(command, log)?;
        while !answers(http) {
            let ended = process.ended()?;
            if ended.is_some() || began.elapsed() > START_PATIENCE {
                let output = fs::read_to_string(log).unwrap_or_default();
                let state = ended.map_or("does not answer".to_owned(), |status| format!("ended with {status}"));
                return Err(format!("the server {state}; it said:\n{}", tail(&output, 30)).into());
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(Server { process, http, rtmp, log: log.to_owned(), started_in: began.elapsed() })
    }
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> Result<u16, Failure> {
        let mut connection = Connection::open(address)?;
        // Any answer will do, also a 404.
        connection.send(&http::get(address, "/weapp/utils/get_login_info"))?;
        Ok(connection.receive()?.status)
    };
    ask().is_ok()
}

/// A port of the loopback interface that was free a moment ago.
fn free_port() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

/// What a process has used, as the kernel counts it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// CPU time in user and kernel mode of all its threads, in seconds, to a hundredth.
    pub cpu: f64,
    /// The part of it that was spent in the kernel.
    pub system: f64,
    /// Resident memory in bytes.
    pub rss: u64,
    /// The most that it was so far.
    pub peak: u64,
}

impl Usage {
    /// Reads /proc for a process.
    pub fn of(id: u32) -> Result<Self, Failure> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let (user, system) = cpu_seconds(&stat).ok_or("unexpected form of /proc/PID/stat")?;
        let memory = |field| kilobytes(&status, field).ok_or("no VmRSS or VmHWM in /proc/PID/status");
        Ok(Usage { cpu: user + system, system, rss: memory("VmRSS:")?, peak: memory("VmHWM:")? })
    }

    /// This process.
    pub fn own() -> Result<Self, Failure> {
        Self::of(std::process::id())
    }

    /// Resident memory in MB of 10^6 bytes.
    pub fn megabytes(&self) -> f64 {
        self.rss as f64 / 1e6
    }
}

/// utime and stime: the 14th and 15th field; the second, the program's name, may hold anything.
fn cpu_seconds(stat: &str) -> Option<(f64, f64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some((user as f64 / TICKS_PER_SECOND, kernel as f64 / TICKS_PER_SECOND))
}

/// A field of /proc/PID/status that is in kilobytes, in bytes.
fn kilobytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_name_with_brackets() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 250 131 0 0 20 0 4 0 100 1 2 3";
        assert_eq!(cpu_seconds(stat), Some((2.5, 1.31)));
        assert_eq!(cpu_seconds("7 (a) S 1"), None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2 << 20));
        assert_eq!(kilobytes("Name:\tx\n", "VmRSS:"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::own().unwrap().rss > 100_000);
    }

    #[test]
    fn a_program_that_ends_at_once_is_reported_with_what_it_said() {
        let workspace = Workspace::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such key; exit 3"]);
        let failed =
            Server::start(&mut command, &workspace.path().join("out"), free_port().unwrap(), free_port().unwrap());
        let why = failed.err().unwrap().to_string();
        assert!(why.contains("no such key") && why.contains('3'), "{why}");
        let path = workspace.path().to_owned();
        drop(workspace);
        assert!(!path.exists());
    }
}
