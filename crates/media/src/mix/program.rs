//! The program: where it is, and how it is run so that it gives way to others and never outlives the server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::process::Command;

/// Where a program is: the path itself, or found in `PATH`.
pub fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return is_program(program).then(|| program.to_path_buf());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_program(file))
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

/// The `setpriv` that can ask the system to end a program with this process. That of BusyBox and those of before
/// util-linux 2.33 cannot. Tried once.
fn setpriv() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| find(Path::new("setpriv")).filter(|program| ties(program))).as_deref()
}

/// Whether a program does what `setpriv --pdeathsig` does.
fn ties(setpriv: &Path) -> bool {
    let mut command = std::process::Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--", "true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A command that is killed when it is dropped, and by the system when this process dies without a word (where
/// `setpriv` is there to ask for that).
pub(super) fn command(program: &Path, nice: u8) -> Command {
    let mut words: Vec<PathBuf> = Vec::new();
    if let Some(setpriv) = setpriv() {
        words.extend([setpriv.to_path_buf(), "--pdeathsig".into(), "KILL".into(), "--".into()]);
    }
    if let Some(program) = find(Path::new("nice")).filter(|_| nice > 0) {
        words.extend([program, "-n".into(), nice.min(19).to_string().into()]);
    }
    words.push(program.into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("media-mix-program-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn a_setpriv_that_does_not_know_the_option_is_left_out() {
        let old = script("old", "#!/bin/sh\necho \"setpriv: unrecognized option '$1'\" >&2\nexit 1\n");
        let new = script("new", "#!/bin/sh\n[ \"$1 $2 $3\" = \"--pdeathsig KILL --\" ] && shift 3 && exec \"$@\"\n");
        assert!(!ties(&old) && !ties(Path::new("/no/such/setpriv")));
        assert!(ties(&new));
    }
}
