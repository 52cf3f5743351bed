//! Groups that ought to be there: a room that outlived a restart has no group until somebody asks for it.

use room::RoomId;
use room::chat::Refusal;

use crate::app::App;

/// Runs a step on a group; where there is no group but a room, the group is made first.
pub async fn with_group<T>(
    app: &App,
    group: &RoomId,
    mut step: impl FnMut() -> Result<T, Refusal> + Send,
) -> Result<T, Refusal> {
    match step() {
        Err(Refusal::NoGroup) if app.rooms.exists(group).await => {
            app.chat.create(group, None, "")?;
            step()
        }
        done => done,
    }
}
