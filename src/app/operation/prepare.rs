//! The assessment and the plan: asks everybody, changes nothing.

use super::folder::OperationsFolder;
use super::proposal::{Cast, propose};
use super::request::{OperationRequest, PrepareError, Prepared};
use super::scene::Scene;
use super::vantage;
use crate::config::Settings;
use crate::model::ServerAddr;
use crate::operation::{DeathEvidence, OperationKind, ServerView, Witness, choose_target};

/// A failover: its assessment and its plan.
///
/// # Errors
/// [`PrepareError`] where the request does not fit the configuration.
pub async fn prepare(
    settings: &Settings,
    folder: &OperationsFolder,
    request: &OperationRequest,
) -> Result<Prepared, PrepareError> {
    let mut scene = Scene::ask(settings, &request.pair).await?;
    let kind = request.wanted.kind();
    let is_disaster = kind == OperationKind::Disaster;
    let old = scene.master(is_disaster || !kind.reaches_old());
    let replicas = scene.all_but(&old);
    let chosen = choose_target(kind, &replicas, request.to.as_ref());
    let target = chosen.map_err(PrepareError::Usage)?.addr.clone();
    let evidence = if is_disaster {
        evidence(&mut scene, request, &old).await
    } else {
        DeathEvidence::default()
    };
    let cast = Cast::new(&scene, kind, &old, &target)?;
    propose(scene, folder, request, cast, evidence).await
}

/// Who sees the master, asked twice.
async fn evidence(
    scene: &mut Scene,
    request: &OperationRequest,
    old: &ServerAddr,
) -> DeathEvidence {
    let second = scene.ask_again().await;
    let hand = scene.hands.iter().find(|hand| hand.server().addr == *old);
    let mut evidence = vantage::evidence(hand, old, &scene.views, &second, &request.exporters);
    let sentinels = scene.sentinel_views.iter().map(Witness::sentinel);
    evidence.witnesses.extend(sentinels);
    evidence
}

/// The return of the configured master: what has to be done before it can take over again. `None`
/// where it follows the present master already.
///
/// # Errors
/// [`PrepareError`] where there is nothing to bring back.
pub async fn prepare_return(
    settings: &Settings,
    folder: &OperationsFolder,
    request: &OperationRequest,
) -> Result<Option<Prepared>, PrepareError> {
    let scene = Scene::ask(settings, &request.pair).await?;
    let returning = scene.entry.master.addr.clone();
    let master = present_master(&scene, request, &returning)?;
    let view = scene.views.iter().find(|view| view.addr == returning);
    if view.is_some_and(|view| view.follows(&master)) {
        return Ok(None);
    }
    if let Some(other) = view.and_then(ServerView::followed) {
        return Err(PrepareError::Usage(format!(
            "{returning} is a replica of {other}, and the master is {master}. If that is another name of \
             {master}, it is back already: write that name into the configuration. If not, make it a master \
             first: REPLICAOF NO ONE, before a sync replaces what only it has."
        )));
    }
    let cast = Cast::new(&scene, OperationKind::Rejoin, &returning, &master)?;
    let evidence = DeathEvidence::default();
    let prepared = propose(scene, folder, request, cast, evidence);
    prepared.await.map(Some)
}

/// The only master beside the returning server.
fn present_master(
    scene: &Scene,
    request: &OperationRequest,
    returning: &ServerAddr,
) -> Result<ServerAddr, PrepareError> {
    let others = scene.all_but(returning);
    let masters: Vec<_> = others.iter().filter(|view| view.is_master()).collect();
    match &masters[..] {
        [one] => Ok(one.addr.clone()),
        [] => Err(PrepareError::Usage(format!(
            "There is nothing to bring back: no other server of {} is a master. Run check to see who \
             follows whom.",
            request.pair
        ))),
        _ => Err(PrepareError::Usage(format!(
            "Several servers of {} are masters beside {returning}: bring them back one by one by hand.",
            request.pair
        ))),
    }
}
