//! `BuildKit`'s own interface: gRPC, by the way that leads to it.
//!
//! A node in a container is reached through its engine, by `buildctl dial-stdio` in the container, as buildx does it itself: that asks
//! no other node and starts nothing. Where only the docker command knows the way to the engine (ssh, TLS) it is `docker … exec -i`.
//! One that listens by itself is connected to, and an engine's own is asked for. Anything else is reached by `docker buildx
//! dial-stdio`, which goes to any builder with the user's own configuration, but boots a builder that does not run; so it must
//! not be used for a container, nor for a pod that is not ready.

mod active;
mod child;
mod direct;
mod engine;
mod listings;
mod output;
mod records;
mod usage;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::types::{GcPolicy, WorkerRecord};
use bollard_buildkit_proto::moby::buildkit::v1::{DiskUsageRequest, InfoRequest, ListWorkersRequest};
use futures_util::future::OptionFuture;
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tonic::transport::{Channel, Endpoint};

use crate::clock::Clock;
use crate::event::builder::{ActiveBuild, GcRule, Usage};
use crate::event::{Mask, Platform, Text, Time};

use super::Connection;
use super::builder::instance::{BuildkitAddress, EngineAddress};
use active::ActiveBuilds;
pub(in crate::source) use active::OwnBuild;
use child::TransportChild;
pub use listings::Listings;
pub(in crate::source) use listings::NodeListing;
use listings::PendingListing;
use output::OutputTail;
pub(in crate::source) use records::{RecordLister, cut};

/// How often a `BuildKit` is asked whether it is well.
const POLL: Duration = Duration::from_secs(2);
/// How long a plain question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a listing of all records may take.
const USAGE_PATIENCE: Duration = Duration::from_secs(60);
/// The largest message: 20,000 records of disk usage are 6 MB.
const LARGEST: usize = 64 << 20;

/// How a node's `BuildKit` is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum DialTarget {
    /// By a child process.
    Command {
        /// The words behind `docker`.
        argv: Vec<String>,
        /// What the child's environment has beside ours.
        env: BTreeMap<String, String>,
    },
    Direct(BuildkitAddress),
    /// Through an engine, into one of its containers.
    Container {
        host: EngineAddress,
        name: String,
    },
    /// The `BuildKit` inside the Docker engine.
    EngineBuildkit(EngineAddress),
}

/// What carries a connection. Dropped, a child is ended.
enum Transport {
    Child(TransportChild),
    /// A process in a container, with its error output.
    Exec(OutputTail),
    Nothing,
}

impl Transport {
    /// Why a connection was lost, where what carried it says so.
    async fn failure_line(&mut self) -> Option<String> {
        match self {
            Self::Child(child) => child.failure_line().await,
            Self::Exec(words) => words.last_line(),
            Self::Nothing => None,
        }
    }
}

/// The newest answers of a `BuildKit`. A part without an answer is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::source) struct BuildkitReading {
    /// How long it took to answer.
    pub(in crate::source) latency_us: Option<u64>,
    pub(in crate::source) version: Option<Text>,
    pub(in crate::source) platforms: Vec<Platform>,
    pub(in crate::source) gc: Vec<GcRule>,
    pub(in crate::source) usage: Option<Usage>,
    /// How long the newest listing took.
    pub(in crate::source) listing_took: Option<Duration>,
    /// Since when a listing is waited for.
    pub(in crate::source) listing_asked: Option<Time>,
    pub(in crate::source) active: Option<Vec<ActiveBuild>>,
    /// Why it does not answer.
    pub(in crate::source) error: Option<String>,
}

/// For which node and build a `BuildKit` is followed.
#[derive(Debug, Clone)]
pub(in crate::source) struct FollowOptions {
    pub(in crate::source) node: String,
    /// What must not be told.
    pub(in crate::source) mask: Mask,
    /// The build that is told of otherwise. What is beside it lists the records too.
    pub(in crate::source) own: OwnBuild,
    /// Where listings of records are shared.
    pub(in crate::source) listings: Listings,
    pub(in crate::source) clock: Clock,
}

/// Follows a `BuildKit` for as long as it `may` be dialled, and dials it again when it was lost. Ends when nobody listens.
pub(in crate::source) async fn follow(
    dial: DialTarget,
    mut may: watch::Receiver<bool>,
    options: FollowOptions,
    out: mpsc::Sender<BuildkitReading>,
) {
    let mut known = BuildkitReading::default();
    let mut failures = 0;
    while may.wait_for(|may| *may).await.is_ok() {
        let error = tokio::select! {
            Err(error) = session(&dial, &mut known, &options, &out) => Some(error),
            gone = may.wait_for(|may| !*may) => match gone {
                Ok(_) => None,
                Err(_) => return,
            },
            () = out.closed() => return,
        };
        let Some(error) = error else {
            failures = 0;
            // What it said then says nothing about what will run the next time.
            known = BuildkitReading { latency_us: None, active: None, error: None, version: None, ..known };
            if out.send(known.clone()).await.is_err() {
                return;
            }
            continue;
        };
        failures = if known.error.is_none() && known.latency_us.is_some() { 1 } else { failures + 1 };
        known = BuildkitReading { error: Some(error), latency_us: None, active: None, ..known };
        if out.send(known.clone()).await.is_err() {
            return;
        }
        // When it may not be dialled any more there is no use in waiting for the next attempt.
        let _ = tokio::time::timeout(super::retry::pause(failures, &options.clock), may.changed()).await;
    }
}

/// Goes the way to a daemon.
async fn connect(dial: &DialTarget) -> Result<(Transport, Channel), String> {
    match dial {
        DialTarget::Command { argv, env } => {
            let (child, channel) = TransportChild::dial(argv, env).await?;
            Ok((Transport::Child(child), channel))
        }
        DialTarget::Container { host, name } => {
            let (words, channel) = engine::into_container(host, name).await?;
            Ok((Transport::Exec(words), channel))
        }
        DialTarget::Direct(listener) => Ok((Transport::Nothing, direct::dial(listener).await?)),
        DialTarget::EngineBuildkit(host) => Ok((Transport::Nothing, engine::own(host).await?)),
    }
}

/// Speaks HTTP/2 over a stream. When it is lost the channel fails for good, and whoever holds it connects anew.
async fn connect_http2(stream: impl Connection + 'static) -> Result<Channel, String> {
    connect_boxed(Box::new(stream)).await
}

async fn connect_boxed(stream: Box<dyn Connection>) -> Result<Channel, String> {
    let mut stream = Some(TokioIo::new(stream));
    let connect = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| std::io::Error::other("the connection is lost"));
        std::future::ready(stream)
    });
    let connected = Endpoint::from_static("http://buildkit").connect_with_connector(connect).await;
    connected.map_err(|error| innermost(&error))
}

/// One connection, up to its end.
async fn session(
    dial: &DialTarget,
    known: &mut BuildkitReading,
    options: &FollowOptions,
    out: &mpsc::Sender<BuildkitReading>,
) -> Result<Infallible, String> {
    let (mut transport, channel) = connect(dial).await?;
    let status = match poll_daemon(channel, known, options, out).await {
        Ok(never) => match never {},
        Err(status) => status,
    };
    // The words of what carried it say more than that the stream has ended.
    Err(transport.failure_line().await.unwrap_or(status))
}

async fn poll_daemon(
    channel: Channel,
    known: &mut BuildkitReading,
    options: &FollowOptions,
    out: &mpsc::Sender<BuildkitReading>,
) -> Result<Infallible, String> {
    let FollowOptions { node, mask, own, listings, clock } = options;
    let mut client = ControlClient::new(channel).max_decoding_message_size(LARGEST);
    let mut active = ActiveBuilds::default();
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut listed, mut build_ended, mut is_first) = (listings.subscribe(), false, true);
    // A daemon that takes long to list its records is asked the rest meanwhile.
    let mut listing = std::pin::pin!(None);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                poll(&mut client, known, clock).await?;
                if std::mem::take(&mut is_first) {
                    let _ = out.send(known.clone()).await;
                    active = ActiveBuilds::listen(&mut client, mask, own).await?;
                }
                known.active = active.builds();
                // Beside a build of ours its evidence lists the records.
                let now = clock.now();
                if own.images.is_empty() && listing.is_none() && listings.of(node).is_due(now, build_ended) {
                    build_ended = false;
                    listing.set(Some(usage(client.clone(), listings.begin(node, now), mask, clock)));
                }
            }
            Some(()) = OptionFuture::from(listing.as_mut().as_pin_mut()) => listing.set(None),
            ended = active.changed() => {
                known.active = active.builds();
                // What a build leaves behind is to be seen soon.
                build_ended |= ended?;
            }
            Ok(()) = listed.changed() => {}
        }
        let newest = listings.of(node);
        known.listing_asked = newest.asked;
        known.usage = newest.usage.or(known.usage.take());
        known.listing_took = newest.took.or(known.listing_took);
        let _ = out.send(known.clone()).await;
    }
}

/// Lists the records and sums them up. Where that fails the connection is still good, or the next poll finds that it is not.
async fn usage(mut client: ControlClient<Channel>, pending: PendingListing, mask: &Mask, clock: &Clock) {
    let listing = within(USAGE_PATIENCE, client.disk_usage(DiskUsageRequest::default())).await;
    let usage = listing.ok().map(|listing| usage::sum_up(&listing.record, mask));
    pending.end(usage, clock.now());
}

/// Asks what is asked for often: the workers, which tell that the daemon is there, how fast, and what it can.
async fn poll(
    client: &mut ControlClient<Channel>,
    known: &mut BuildkitReading,
    clock: &Clock,
) -> Result<(), String> {
    let asked = clock.now();
    let workers = within(PATIENCE, client.list_workers(ListWorkersRequest::default())).await?;
    let latency = clock.now().since(asked);
    known.latency_us = u64::try_from(latency.as_micros()).ok();
    known.error = None;
    // The first worker is the one that builds.
    if let Some(worker) = workers.record.first() {
        take_worker(known, worker);
    }
    // The workers of Docker's engine do not say it; a BuildKit of before 0.11 can't be asked.
    if known.version.is_none()
        && let Ok(info) = within(PATIENCE, client.info(InfoRequest {})).await
    {
        known.version = info.buildkit_version.map(|version| Text::clean(&version.version));
    }
    Ok(())
}

fn take_worker(known: &mut BuildkitReading, worker: &WorkerRecord) {
    let version = worker.buildkit_version.as_ref().filter(|version| !version.version.is_empty());
    if let Some(version) = version {
        known.version = Some(Text::clean(&version.version));
    }
    let platforms = worker.platforms.iter();
    known.platforms = platforms
        .filter_map(|one| super::builder::instance::platform(&one.os, &one.architecture, &one.variant))
        .collect();
    known.gc = worker.gc_policy.iter().map(gc_rule).collect();
}

fn gc_rule(policy: &GcPolicy) -> GcRule {
    let bytes = |number: i64| u64::try_from(number).unwrap_or_default();
    GcRule {
        all: policy.all,
        filters: policy.filters.iter().map(|filter| Text::clean(filter)).collect(),
        // BuildKit sends nanoseconds.
        keep_ms: bytes(policy.keep_duration) / 1_000_000,
        reserved: bytes(policy.reserved_space),
        max_used: bytes(policy.max_used_space),
        min_free: bytes(policy.min_free_space),
    }
}

/// An answer, or why there is none.
async fn within<T>(
    patience: Duration,
    request: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, String> {
    match tokio::time::timeout(patience, request).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(status_text(&status)),
        Err(_) => Err(format!("no answer in {} s", patience.as_secs())),
    }
}

/// The text of a status. Of a broken transport tonic gives the cause only as a source.
fn status_text(status: &tonic::Status) -> String {
    let message = status.message();
    match std::error::Error::source(status).map(innermost) {
        Some(last) if !message.contains(&last) => format!("{message}: {last}"),
        _ => message.to_owned(),
    }
}

/// The error that the others were made of.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
