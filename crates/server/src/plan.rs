//! `roomservice plan`: how many machines an app needs, reckoned with what was measured, and where the design stops.

use std::fmt::Write as _;

use serde::Serialize;

use crate::print;

/// What is planned for. Everything is at the same time, at the busiest hour.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::struct_field_names)]
pub struct Arguments {
    /// Rooms.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rooms: u32,
    /// Who publish in each room.
    #[arg(long, default_value_t = 1)]
    publishers: u32,
    /// Publishers of a room watch each other by WebRTC, as in a call.
    #[arg(long)]
    calls: bool,
    /// Picture and sound of one publisher, in kbit/s.
    #[arg(long, value_name = "KBIT", default_value_t = 1_500, value_parser = clap::value_parser!(u32).range(1..))]
    bitrate: u32,
    /// Viewers of all rooms together, by HTTP-FLV or RTMP; each watches one stream. HLS is for a CDN, and not reckoned.
    #[arg(long, default_value_t = 0)]
    viewers: u32,
    /// Viewers by WebRTC.
    #[arg(long, default_value_t = 0)]
    webrtc_viewers: u32,
    /// Viewers of the largest room, by all protocols; as many as a room has on average when it is not given.
    #[arg(long)]
    largest: Option<u32>,
    /// Joins and leaves a second.
    #[arg(long, default_value_t = 0)]
    joins: u32,
    /// Rooms whose streams are mixed.
    #[arg(long, default_value_t = 0)]
    mixes: u32,
    /// Streams that are recorded.
    #[arg(long, default_value_t = 0)]
    recordings: u32,
    /// Cores of one machine.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    cores: u32,
    /// Memory of one machine, in GB.
    #[arg(long, value_name = "GB", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    memory: u32,
    /// What one machine's network carries, in Mbit/s.
    #[arg(long, value_name = "MBIT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    network: u32,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// What one thing costs, as it was measured on one core of an x86-64 server. docs/capacity.md names the command of each.
mod cost {
    /// The stream that viewers were measured with, in Mbit/s.
    pub const STREAM: f64 = 0.6;
    /// Viewers of that stream for each core: HTTP-FLV and RTMP, and WebRTC. One large audience costs less: what goes to it is gathered.
    pub const FLV_A_CORE: f64 = 11_000.0;
    pub const WEBRTC_A_CORE: f64 = 1_000.0;
    /// Publishers of that stream for each core, by WebRTC.
    pub const PUBLISHERS_A_CORE: f64 = 400.0;
    /// Signs of life a second for each core: each publisher gives one in 5 seconds and asks who is there in 10.
    pub const CALLS_A_CORE: f64 = 90_000.0;
    pub const CALLS_OF_A_PUBLISHER: f64 = 0.3;
    /// Joins and leaves a second for each core, each on disk before it is answered.
    pub const JOINS_A_CORE: f64 = 50_000.0;
    /// Mixes of two pictures of 360p for each core, and the memory of each in MB.
    pub const MIXES_A_CORE: f64 = 2.0;
    pub const MIX: f64 = 100.0;
    /// Memory in MB: at rest, for a stream, and for viewers of each kind and rooms.
    pub const AT_REST: f64 = 24.0;
    pub const PUBLISHER: f64 = 0.5;
    pub const FLV_VIEWER: f64 = 0.02;
    pub const WEBRTC_VIEWER: f64 = 0.11;
    pub const ROOM: f64 = 0.000_9;
    /// What protocols add to a stream on the wire.
    pub const OVERHEAD: f64 = 1.15;
    /// Changes of rooms a second that one shard of Redis makes, and the operations of each.
    pub const CHANGES_A_SHARD: f64 = 8_000.0;
    pub const OPERATIONS_OF_A_CHANGE: f64 = 2.0;
    /// What of a machine is planned with: the rest is for peaks, and for the viewers of a machine that is away.
    pub const PART: f64 = 0.5;
}

/// What is needed in all, and of how many machines.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    /// Cores that work, without reserve.
    cores: f64,
    network_out_mbit: f64,
    network_in_mbit: f64,
    memory_mb: f64,
    /// Recordings, a day.
    disk_gb_a_day: f64,
    /// What nodes ask of Redis, where there are several.
    redis_operations: f64,
    redis_shards: u32,
    nodes: u32,
    /// What decides how many nodes there are.
    decided_by: &'static str,
    /// Where the design stops, and what to do then.
    limits: Vec<String>,
}

fn up(value: f64) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = value.ceil().max(1.0) as u32;
    whole
}

impl Plan {
    fn of(asked: &Arguments) -> Self {
        let megabits = f64::from(asked.bitrate) / 1000.0;
        // Packets are what costs, and packets are as many as the stream is large.
        let size = megabits / cost::STREAM;
        let publishers = f64::from(asked.rooms) * f64::from(asked.publishers);
        let each_other = f64::from(asked.publishers.saturating_sub(1));
        let webrtc = f64::from(asked.webrtc_viewers) + if asked.calls { publishers * each_other } else { 0.0 };
        let flv = f64::from(asked.viewers);
        let mixes = f64::from(asked.mixes);
        let joins = f64::from(asked.joins);
        let beats = publishers * cost::CALLS_OF_A_PUBLISHER;
        let media = flv / cost::FLV_A_CORE + webrtc / cost::WEBRTC_A_CORE + publishers / cost::PUBLISHERS_A_CORE;
        let cores = media * size + mixes / cost::MIXES_A_CORE + beats / cost::CALLS_A_CORE + joins / cost::JOINS_A_CORE;
        let network_out_mbit = (flv + webrtc) * megabits * cost::OVERHEAD;
        let network_in_mbit = publishers * megabits * cost::OVERHEAD;
        let buffers = publishers * cost::PUBLISHER + flv * cost::FLV_VIEWER + webrtc * cost::WEBRTC_VIEWER;
        let memory_mb =
            cost::AT_REST + buffers * size.max(1.0) + mixes * cost::MIX + f64::from(asked.rooms) * cost::ROOM;
        let changes = joins + beats;
        let (nodes, decided_by) = nodes(asked, [cores, network_out_mbit.max(network_in_mbit), memory_mb]);
        let redis_shards = up(changes / (cost::CHANGES_A_SHARD * cost::PART));
        let mut plan = Self {
            cores,
            network_out_mbit,
            network_in_mbit,
            memory_mb,
            disk_gb_a_day: f64::from(asked.recordings) * megabits * 86_400.0 / 8_000.0,
            redis_operations: if nodes > 1 { changes * cost::OPERATIONS_OF_A_CHANGE } else { 0.0 },
            redis_shards: if nodes > 1 { redis_shards } else { 0 },
            nodes,
            decided_by,
            limits: Vec::new(),
        };
        plan.limits = plan.limits(asked, megabits);
        plan
    }

    /// Where more machines do not help.
    fn limits(&self, asked: &Arguments, megabits: f64) -> Vec<String> {
        let mut limits = Vec::new();
        let all = f64::from(asked.viewers) + f64::from(asked.webrtc_viewers);
        let largest = asked.largest.map_or(all / f64::from(asked.rooms), f64::from);
        let one = f64::from(asked.network) * cost::PART;
        let relays = f64::from(self.nodes - 1) * megabits * f64::from(asked.publishers) * cost::OVERHEAD;
        if self.nodes > 1 && relays > one / 2.0 {
            limits.push(format!(
                "each other node pulls a room's streams once from the node where they are published: {relays:.0} Mbit/s for the \
                 largest room; put a CDN in front of HLS and HTTP-FLV, or take fewer and larger nodes"
            ));
        }
        if largest * megabits * cost::OVERHEAD > one {
            limits.push(format!(
                "the largest room's viewers need {:.0} Mbit/s, more than half of one machine's network: they have to be spread over \
                 nodes (several names, or a load balancer that does not keep a room on one node)",
                largest * megabits * cost::OVERHEAD
            ));
        }
        if asked.calls && asked.publishers > 12 {
            limits.push(format!(
                "each of {} members watches {} others: {:.0} Mbit/s to everyone; let some only watch, by a mix or by HTTP-FLV",
                asked.publishers,
                asked.publishers - 1,
                f64::from(asked.publishers - 1) * megabits * cost::OVERHEAD
            ));
        }
        if self.redis_shards > 1 {
            limits.push(format!(
                "{} shards of Redis (redis-cluster://): a room lives on one of them, and makes {:.0} changes a second at the most",
                self.redis_shards,
                cost::CHANGES_A_SHARD
            ));
        }
        limits
    }
}

/// How many machines these cores, Mbit/s and MB take, and which of the three decides it.
fn nodes(asked: &Arguments, needs: [f64; 3]) -> (u32, &'static str) {
    let [cores, network, memory] = needs;
    let of = [
        (cores / (f64::from(asked.cores) * cost::PART), "cores"),
        (network / (f64::from(asked.network) * cost::PART), "network"),
        (memory / (f64::from(asked.memory) * 1000.0 * cost::PART), "memory"),
    ];
    let most = of.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, "cores"));
    (up(most.0), most.1)
}

/// The plan for people.
fn page(plan: &Plan, asked: &Arguments) -> String {
    let mut text = String::new();
    let machine = format!("{} cores, {} GB, {} Mbit/s", asked.cores, asked.memory, asked.network);
    let _ = writeln!(text, "cores         {:.1} busy", plan.cores);
    let _ = writeln!(text, "network       {:.0} Mbit/s out, {:.0} in", plan.network_out_mbit, plan.network_in_mbit);
    let _ = writeln!(text, "memory        {:.0} MB", plan.memory_mb);
    if plan.disk_gb_a_day > 0.0 {
        let _ = writeln!(text, "recordings    {:.0} GB a day", plan.disk_gb_a_day);
    }
    if plan.nodes > 1 {
        let _ = writeln!(text, "Redis         {:.0} operations a second", plan.redis_operations);
    }
    let what = if plan.nodes == 1 { "machine" } else { "machines" };
    let _ = writeln!(
        text,
        "nodes         {} {what} of {machine}, each at half load; {} decides",
        plan.nodes, plan.decided_by
    );
    for limit in &plan.limits {
        let _ = writeln!(text, "mind          {limit}");
    }
    text
}

/// Prints the plan.
///
/// # Errors
/// It cannot be written as JSON.
pub fn run(asked: &Arguments) -> Result<(), String> {
    let plan = Plan::of(asked);
    if asked.json {
        print::line(serde_json::to_string(&plan).map_err(|e| e.to_string())?);
    } else {
        print::text(page(&plan, asked));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn plan(line: &str) -> Plan {
        let line = std::iter::once("plan").chain(line.split_whitespace());
        Plan::of(&Line::try_parse_from(line).unwrap().arguments)
    }

    #[test]
    fn a_small_app_is_one_machine_without_redis() {
        let plan = plan("--rooms 50 --publishers 2 --calls --bitrate 800");
        assert_eq!((plan.nodes, plan.redis_shards), (1, 0));
        assert!(plan.cores < 1.0 && plan.memory_mb < 200.0, "{plan:?}");
        assert!(plan.limits.is_empty(), "{plan:?}");
        // Two in a room are two viewers.
        assert!((plan.network_out_mbit - 92.0).abs() < 0.1, "{plan:?}");
        assert!((plan.network_in_mbit - plan.network_out_mbit).abs() < 0.1, "{plan:?}");
    }

    #[test]
    fn what_runs_out_first_decides() {
        assert_eq!(plan("--viewers 3000 --network 1000").decided_by, "network");
        assert_eq!(plan("--viewers 3000 --network 100000 --cores 1").decided_by, "cores");
        assert_eq!(plan("--mixes 200 --network 100000 --cores 1000 --memory 1").decided_by, "memory");
        // Twice the viewers, twice the machines.
        let [one, two] = [plan("--viewers 20000"), plan("--viewers 40000")].map(|plan| f64::from(plan.nodes));
        assert!((two / one - 2.0).abs() < 0.1, "{one} and {two}");
    }

    #[test]
    fn where_more_machines_do_not_help_is_said() {
        let said = |line: &str, words: &str| {
            let plan = plan(line);
            assert!(plan.limits.iter().any(|limit| limit.contains(words)), "{words}: {plan:?}");
        };
        said("--viewers 100000 --bitrate 2000", "pulls a room's streams once");
        said("--viewers 100000", "spread over nodes");
        said("--rooms 10 --publishers 20 --calls", "each of 20 members watches 19 others");
        said("--rooms 100000 --publishers 2 --joins 20000", "shards of Redis");
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        for line in ["--rooms 0", "--bitrate 0", "--cores 0", "--memory 0", "--network 0", "--viewers -1", "--rooms x"]
        {
            let line = std::iter::once("plan").chain(line.split_whitespace());
            assert!(Line::try_parse_from(line).is_err());
        }
        // Whatever fits is reckoned.
        let most = u32::MAX;
        assert_eq!(plan(&format!("--rooms {most} --publishers {most} --calls --viewers {most}")).nodes, most);
    }
}
