//! What the program says of itself: its version and how it was built, completions for shells, a manual page.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

/// What `--version` prints after the name. The commit is given when it is built (`BUILD_COMMIT`).
#[must_use]
pub fn version() -> String {
    let commit = option_env!("BUILD_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("not known");
    let libc = if cfg!(target_env = "musl") { "musl" } else { "glibc" };
    let checks = if cfg!(debug_assertions) { ", with debug assertions" } else { "" };
    format!(
        "{}\ncommit    {commit}\nmachine   {} {} ({libc}){checks}\nfeatures  {FEATURES}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
}

/// No part is left out of any build.
const FEATURES: &str = "webrtc rtmp http-flv hls recording mixing chat journal redis tls acme tencent";

/// What a shell needs to complete commands.
#[must_use]
pub fn completions<C: CommandFactory>(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut C::command(), "roomservice", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page.
///
/// # Errors
/// It cannot be made.
pub fn manual<C: CommandFactory>() -> io::Result<String> {
    let mut text = Vec::new();
    // The first line of the version only.
    clap_mangen::Man::new(C::command().long_version(None).version(env!("CARGO_PKG_VERSION"))).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
