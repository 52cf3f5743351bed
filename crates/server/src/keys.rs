//! Keys that development mode makes for itself on first start, in the data directory. Production never reads them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Mode, Settings};
use edge::write_private;
use sign::Secret;

const FILE: &str = "development-keys.toml";
const HEAD: &str = "# Made by roomservice for development mode on this machine. Not used in production mode.\n";

#[derive(Serialize, Deserialize)]
struct Made {
    usersig_secret: String,
    push_secret: String,
    session_secret: String,
    /// Signs operators' tokens. Files of earlier versions have none.
    operator_key: Option<String>,
}

/// Fills in the keys that are not configured, in development mode; makes them if there are none yet.
///
/// # Errors
/// The data directory cannot be read or written.
pub fn complete(settings: &mut Settings) -> std::io::Result<()> {
    if settings.mode != Mode::Development {
        return Ok(());
    }
    let im = &settings.im;
    let signs = !im.secret_key.is_empty() || !im.private_key.is_empty() || !im.public_key.is_empty();
    let operators = !settings.operator.keys.is_empty();
    if signs && operators && !settings.live.push_secret_key.is_empty() && !settings.sessions.secret.is_empty() {
        return Ok(());
    }
    let made = load(&settings.data_dir)?;
    let fill = |key: &mut Secret, made: String| {
        if key.is_empty() {
            *key = Secret::new(made);
        }
    };
    if !signs {
        settings.im.secret_key = Secret::new(made.usersig_secret);
    }
    if settings.im.sdk_app_id == 0 {
        settings.im.sdk_app_id = 1_400_000_000;
    }
    fill(&mut settings.live.push_secret_key, made.push_secret);
    fill(&mut settings.sessions.secret, made.session_secret);
    if !operators {
        settings.operator.keys.extend(made.operator_key.map(Secret::new));
    }
    Ok(())
}

fn load(dir: &Path) -> std::io::Result<Made> {
    let path = dir.join(FILE);
    let secret = || sign::generate_secret().expose().to_owned();
    let made = match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str::<Made>(&text).map_err(|e| {
            std::io::Error::other(format!("{}: {e}; remove the file to have new keys made", path.display()))
        })?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(dir)?;
            Made { usersig_secret: secret(), push_secret: secret(), session_secret: secret(), operator_key: None }
        }
        Err(e) => return Err(e),
    };
    if made.operator_key.is_some() {
        return Ok(made);
    }
    let made = Made { operator_key: Some(secret()), ..made };
    let text = toml::to_string(&made).map_err(std::io::Error::other)?;
    write_private(&path, format!("{HEAD}{text}").as_bytes())?;
    Ok(made)
}
