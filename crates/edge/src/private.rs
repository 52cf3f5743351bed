//! Files that only their owner can read: keys and certificates.

use std::io::Write;
use std::path::Path;

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let new = path.with_extension("new");
    // One that a crash has left may have another mode.
    match std::fs::remove_file(&new) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(new, path)?;
    // The name is on the disk when its directory is.
    path.parent().map_or(Ok(()), |dir| std::fs::File::open(dir)?.sync_all())
}
