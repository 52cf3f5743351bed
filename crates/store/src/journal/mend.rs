//! Mending a damaged file: what is sound in it stays, and a copy of what is cut out is kept for people to look at. A disk
//! that takes no copy keeps no server from starting.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::files::Dir;

/// Copies begin with this.
const DAMAGED: &str = "damaged-";
/// Copies that are kept, the newest.
const KEEP: usize = 16;

/// Cuts damage out of a segment. What was cut is said, and a copy kept: of the tail alone, where nothing follows it, as is
/// usual after a loss of power; else of the whole file. Says whether the file is sound now.
pub fn segment(dir: &Dir, first: u64, bytes: &[u8], damage: &[Range<usize>]) -> bool {
    let path = dir.segment(first);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lost: usize = damage.iter().map(Range::len).sum();
    let tail = match damage {
        [only] if only.end == bytes.len() => Some(only.start),
        _ => None,
    };
    let copied = keep(dir, &format!("{first:020}"), &bytes[tail.unwrap_or(0)..]);
    let mended = copied.and_then(|copy| {
        match tail {
            Some(at) => {
                dir.disk().cut(&path, at as u64)?;
            }
            None => dir.replace(&name, &sound(bytes, damage))?,
        }
        Ok(copy)
    });
    let file = path.display();
    match (&mended, tail) {
        (Ok(copy), Some(at)) => {
            tracing::warn!(%file, at, bytes = lost, copy = %copy.display(), "a damaged tail of the journal is cut off");
        }
        (Ok(copy), None) => {
            let at = damage.first().map_or(0, |range| range.start);
            tracing::error!(%file, at, bytes = lost, copy = %copy.display(), "the journal was damaged: the changes in it are lost, those behind it are kept");
        }
        (Err(error), _) => {
            tracing::error!(%file, bytes = lost, %error, "the journal is damaged, and cannot be mended: it is used as far as it is sound");
        }
    }
    mended.is_ok()
}

/// Says that the snapshot is damaged, and keeps a copy: the next one takes its place.
pub fn snapshot(dir: &Dir, bytes: &[u8]) {
    let file = dir.snapshot();
    match keep(dir, "snapshot", bytes) {
        Ok(copy) => {
            tracing::error!(file = %file.display(), copy = %copy.display(), "the snapshot is damaged: what can be read of it is used");
        }
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "the snapshot is damaged, and cannot be copied: what can be read of it is used");
        }
    }
}

/// What is left without the damage.
fn sound(bytes: &[u8], damage: &[Range<usize>]) -> Vec<u8> {
    let mut sound = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for range in damage {
        sound.extend_from_slice(&bytes[at..range.start]);
        at = range.end;
    }
    sound.extend_from_slice(&bytes[at..]);
    sound
}

/// Keeps a copy, once, whatever happens next.
fn keep(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let name = format!("{DAMAGED}{name}-{:08x}", crc32fast::hash(bytes));
    let copy = dir.path().join(&name);
    let listed = dir.list()?;
    if !listed.contains(&name) {
        dir.replace(&name, bytes)?;
    }
    let mut all = Vec::new();
    for old in listed.into_iter().filter(|old| old.starts_with(DAMAGED) && *old != name) {
        let path = dir.path().join(&old);
        if let Some(about) = dir.about(&path)? {
            all.push((about.modified, path));
        }
    }
    all.sort();
    for (_, old) in &all[..(all.len() + 1).saturating_sub(KEEP)] {
        dir.disk().remove(old)?;
    }
    Ok(copy)
}
