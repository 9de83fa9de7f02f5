//! The engine's answer turned into ours: a tunnel, a document that is edited, or a stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};
use serde_json::Value;

use crate::answer::{self, Body, Refused};
use crate::api::operation::Operation;
use crate::audit::record::Outcome;
use crate::engine::EngineError;
use crate::exchange::images::{Hold, Images, List, inspected, tells_of_containers};
use crate::exchange::show::{Shower, containers};
use crate::exchange::{Exchange, edit, grpc, lower};
use crate::policy::judge::may;
use crate::policy::view::View;
use crate::shown::strip::stripped;
use crate::shown::whole::Containers;
use crate::stream::{Download, End, one_way, open, tunnel};

impl Exchange {
    /// Settles what was held while the engine was asked, and turns its answer into ours
    pub(super) async fn settle(
        &mut self,
        sent: Result<Response<Incoming>, Refused>,
        client: Option<OnUpgrade>,
        operation: &Operation,
        images: Option<Images>,
        mut hold: Hold,
    ) -> Result<Response<Body>, Refused> {
        let response = match sent {
            Ok(response) => response,
            Err(why) => {
                hold.lost(&why, images.as_ref()).await;
                return Err(why);
            }
        };
        if let Some(images) = &images {
            hold = hold.answered(response.status(), operation, images).await;
        }
        self.answer(response, client, operation, images.map(|images| (images, hold))).await
    }

    /// Turns the engine's answer into ours; its last byte ends the exchange
    async fn answer(
        &mut self,
        mut response: Response<Incoming>,
        client: Option<OnUpgrade>,
        operation: &Operation,
        images: Option<(Images, Hold)>,
    ) -> Result<Response<Body>, Refused> {
        let idle = self.gate.limits.idle;
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(protocol) = operation.upgrades() else {
                return Err(EngineError::Broken("it left HTTP where it may not".to_owned()).into());
            };
            let engine = hyper::upgrade::on(&mut response);
            let (parts, _) = response.into_parts();
            let mut ours = Response::new(answer::empty());
            *ours.headers_mut() = lower::headers(parts.headers, may(&self.policy, "build.solve"));
            let Some(client) = client else {
                let engine = open(engine).await.map_err(|error| EngineError::Broken(error.to_string()))?;
                *ours.body_mut() = one_way(engine, self.ending(ours.status())?);
                return Ok(ours);
            };
            *ours.status_mut() = status;
            ours.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            ours.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
            let end = self.ending(status)?;
            let tunnels = &self.gate.tunnels;
            match operation {
                Operation::BuildGrpc(_) => {
                    let (gate, who) = (Arc::clone(&self.gate), Arc::clone(&self.who));
                    tunnels.spawn(grpc::serve(gate, who, client, engine, end))
                }
                // The owner has ended: its sessions end with it, as its containers do.
                Operation::BuildSession(_) => {
                    let cut = self.gate.running.cut(self.who.owner.name());
                    tunnels.spawn(async move {
                        // Its end is the client's to choose.
                        let joined = tunnel(client, engine, end, idle, Outcome::Complete);
                        cut.run_until_cancelled(joined).await;
                    })
                }
                _ => tunnels.spawn(tunnel(client, engine, end, idle, Outcome::Abandoned)),
            };
            return Ok(ours);
        }
        let (mut parts, body) = response.into_parts();
        parts.headers = lower::headers(parts.headers, may(&self.policy, "build.solve"));
        if let Some(edit) = edit::of(operation, &self.policy).filter(|_| status == StatusCode::OK) {
            let body = Limited::new(body, self.gate.limits.body_bytes).collect().await;
            let body = body.map_err(|error| EngineError::Broken(error.to_string()))?.to_bytes();
            let body = edit::apply(edit, &body).unwrap_or(body);
            // What was put back is the client's own; the rest has the engine's names.
            let body = self.view.as_ref().map_or(body.clone(), |view| stripped(view.suffix(), &body).into());
            parts.headers.remove(CONTENT_LENGTH);
            let mut end = self.ending(status)?;
            end.counters().to_client.fetch_add(body.len() as u64, Ordering::Relaxed);
            end.outcome(Outcome::Complete);
            return Ok(Response::from_parts(parts, Full::new(body).map_err(|never| match never {}).boxed()));
        }
        let is_inspected = matches!(operation, Operation::ImageInspect(_)) && status == StatusCode::OK;
        let shown = images.as_ref().filter(|_| is_inspected).map(|(images, _)| images.clone());
        if let Some((images, hold)) = images.filter(|(_, hold)| status.is_success() && Images::follows(operation, hold))
        {
            let body = match hold {
                Hold::Nothing => {
                    parts.headers.remove(CONTENT_LENGTH);
                    match self.view.as_ref().filter(|_| images.hides()) {
                        Some(view) => {
                            let own = containers(&self.gate.engine, view, &self.who).await?;
                            List::new(body, images, own).boxed()
                        }
                        None => body.map_err(Into::into).boxed(),
                    }
                }
                hold => hold.follow(body, images),
            };
            return Ok(Response::from_parts(parts, Download::new(body, self.ending(status)?, idle).boxed()));
        }
        if let (Some(images), Some(view)) = (&shown, self.view.clone()) {
            let body = Limited::new(body, self.gate.limits.body_bytes).collect().await;
            let body = body.map_err(|error| EngineError::Broken(error.to_string()))?.to_bytes();
            let body = self.inspected(images, &view, &body).await?;
            parts.headers.remove(CONTENT_LENGTH);
            let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
            return Ok(Response::from_parts(parts, Download::new(body, self.ending(status)?, idle).boxed()));
        }
        if let Some(view) = &self.view {
            let shower = Shower {
                engine: &self.gate.engine,
                own: Arc::clone(&self.gate.own),
                who: Arc::clone(&self.who),
                policy: Arc::clone(&self.policy),
                view,
                names: &self.names,
                most: self.gate.limits.body_bytes,
            };
            let (parts, body) = shower.show(Response::from_parts(parts, body), operation).await?.into_parts();
            return Ok(Response::from_parts(parts, Download::new(body, self.ending(status)?, idle).boxed()));
        }
        Ok(Response::from_parts(parts, Download::new(body, self.ending(status)?, idle).map_err(Into::into).boxed()))
    }

    /// An image that the owner inspects, as it is to see it
    async fn inspected(&self, images: &Images, view: &View, body: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut image: Value = serde_json::from_slice(body).map_err(|error| EngineError::Broken(error.to_string()))?;
        let own = match tells_of_containers(&image) {
            true => containers(&self.gate.engine, view, &self.who).await?,
            false => Containers::default(),
        };
        let before = image.clone();
        inspected(images, &own, &mut image);
        Ok(if image == before { body.to_vec() } else { image.to_string().into_bytes() })
    }

    /// Hands over the end of the record, once nothing can fail any more before the answer
    pub(super) fn ending(&mut self, status: StatusCode) -> Result<End, Refused> {
        let mut end = self.end.take().ok_or(Refused::Unrecorded)?;
        end.answered(status.as_u16());
        Ok(end)
    }
}
