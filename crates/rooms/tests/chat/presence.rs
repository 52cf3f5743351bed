//! Who counts as being there, at several hubs on one real Redis.

use crate::nodes::{group, node, until};
use testkit::redis::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn users_of_a_node_that_crashed_are_not_counted_by_who_comes_later_and_an_operator_sees_all() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis).await;
    let b = node(&redis).await;
    a.enter("r", "ann").await;
    let mut ann = a.join("ann", "r", None).await;
    let _bob = b.join("bob", "r", None).await;
    until("both are counted", || ann.count() == Some(2)).await;
    // An operator asks a node at which nobody is in.
    let c = node(&redis).await;
    c.hub.fetch(&group("r")).await.unwrap();
    assert_eq!(c.hub.show(&group("r")).unwrap().users, 2);
    // Without a word: as a process that was killed.
    b.bus.abort();
    until("its users are not counted any more", || ann.count() == Some(1)).await;
    let d = node(&redis).await;
    d.hub.fetch(&group("r")).await.unwrap();
    assert_eq!(d.hub.show(&group("r")).unwrap().users, 1);
    let mut eve = d.join("eve", "r", None).await;
    until("ann and eve", || eve.count() == Some(2)).await;
}
