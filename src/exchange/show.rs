//! The engine's answer as its owner is to see it.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::{Method, Response, StatusCode};

use crate::answer::{Body, Refused};
use crate::api::json::Json;
use crate::api::operation::Operation;
use crate::audit::cleanup;
use crate::engine::{Engine, EngineError, Question};
use crate::exchange::Who;
use crate::exchange::own::{Kind, OwnIds};
use crate::exchange::sight::{Seen, Sight, Standing};
use crate::policy::Policy;
use crate::policy::ask::Object;
use crate::policy::view::View;
use crate::shown::events::Events;
use crate::shown::strip::{Strip, stripped};
use crate::shown::whole::{Containers, narrow, needs_containers};
use crate::shown::{Both, Made, Sees, Shape, Showing, showing};
use crate::stream::Sifted;

/// Shows answers to one owner
pub struct Shower<'a> {
    /// Asked for what an answer does not say
    pub engine: &'a Engine,
    /// What is the owner's own beyond doubt
    pub own: Arc<OwnIds>,
    /// The caller and its owner
    pub who: Arc<Who>,
    /// The policy
    pub policy: Arc<Policy>,
    /// The owner's names
    pub view: &'a View,
    /// Names that a list was asked for
    pub names: &'a [String],
    /// Most bytes that are read whole
    pub most: usize,
}

impl Shower<'_> {
    /// Shows the answer to `operation`; its length may be another
    ///
    /// # Errors
    /// When what has to be read whole cannot be.
    pub async fn show(&self, response: Response<Incoming>, operation: &Operation) -> Result<Response<Body>, Refused> {
        let (mut parts, body) = response.into_parts();
        let showing = if parts.status.is_success() { showing(operation) } else { Showing::Names };
        if showing == Showing::AsIs || operation.endpoint().method == Method::HEAD {
            return Ok(Response::from_parts(parts, body.map_err(Into::into).boxed()));
        }
        parts.headers.remove(CONTENT_LENGTH);
        // docker-py takes a chunked answer for a stream of progress, so what came with a length goes on with one.
        let short = body.size_hint().exact().is_some_and(|length| length <= SHORT);
        let body = match showing {
            Showing::Events => Sifted::new(body, Both(Events::new(self.eyes()), self.strip())).boxed(),
            Showing::Whole(shape) if shape != Shape::Volumes || self.view.borrows_volumes() => {
                let body = self.whole(body).await?;
                self.stripped(&self.narrowed(shape, &body).await?)
            }
            Showing::Made(kind) => {
                let body = self.whole(body).await?;
                self.learn(kind, &body);
                self.stripped(&body)
            }
            Showing::AsIs | Showing::Names | Showing::Whole(_) if short => self.stripped(&self.whole(body).await?),
            Showing::AsIs | Showing::Names | Showing::Whole(_) => Sifted::new(body, self.strip()).boxed(),
        };
        Ok(Response::from_parts(parts, body))
    }

    fn strip(&self) -> Strip {
        Strip::new(self.view.suffix())
    }

    fn stripped(&self, bytes: &[u8]) -> Body {
        let bytes = Bytes::from(stripped(self.view.suffix(), bytes));
        Full::new(bytes).map_err(|never| match never {}).boxed()
    }

    /// An answer that was read whole, with what the owner may see of it
    async fn narrowed(&self, shape: Shape, body: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut answer = Json::parse(body).map_err(EngineError::Broken)?;
        let own = match needs_containers(shape, &answer) {
            true => containers(self.engine, self.view, &self.who).await?,
            false => Containers::default(),
        };
        narrow(shape, &mut answer, &self.eyes(), &own, self.names);
        let mut bytes = answer.to_engines_bytes();
        bytes.push(b'\n');
        Ok(bytes)
    }

    async fn whole(&self, body: Incoming) -> Result<Bytes, Refused> {
        let body = Limited::new(body, self.most).collect().await;
        Ok(body.map_err(|error| EngineError::Broken(error.to_string()))?.to_bytes())
    }

    fn learn(&self, made: Made, body: &[u8]) {
        let kind = match made {
            Made::Container => Kind::Container,
            Made::Network => Kind::Network,
            Made::Exec => Kind::Exec,
        };
        let made = Json::parse(body).ok();
        if let Some(id) = made.as_ref().and_then(|made| made.member("Id")).and_then(Json::text) {
            self.own.learn(kind, id, self.who.owner.name());
        }
    }

    fn eyes(&self) -> Eyes {
        let suffix = self.view.suffix().to_owned();
        Eyes { own: Arc::clone(&self.own), who: Arc::clone(&self.who), policy: Arc::clone(&self.policy), suffix }
    }
}

/// The owner's containers, and the caller's own
///
/// # Errors
/// When the engine cannot be asked.
pub async fn containers(engine: &Engine, view: &View, who: &Who) -> Result<Containers, Refused> {
    let (status, body) = engine.question(Question::Labelled(cleanup::Kind::Container, &view.label())).await?;
    if status != StatusCode::OK {
        return Err(EngineError::Broken(format!("its list of containers has status {status}")).into());
    }
    let caller = who.caller.container.as_ref().map(|container| container.id.as_str());
    Ok(Containers::read(&body, caller).map_err(EngineError::Broken)?)
}

/// What an owner may see, for as long as an answer comes
struct Eyes {
    own: Arc<OwnIds>,
    who: Arc<Who>,
    policy: Arc<Policy>,
    suffix: String,
}

impl Sees for Eyes {
    fn sees(&self, object: Object, id: &str, name: &str, owner: Option<&str>) -> bool {
        let sight = Sight { who: &self.who, policy: &self.policy };
        match object {
            // Images are looked at by their labels alone here.
            Object::Image => self.is_own(owner),
            _ => sight.standing(Seen { object, id, name, owner }) != Standing::Foreign,
        }
    }

    fn is_own(&self, owner: Option<&str>) -> bool {
        owner == Some(&**self.who.owner.name())
    }

    fn is_own_container(&self, id: &str) -> bool {
        self.own.knows(Kind::Container, id, self.who.owner.name())
    }

    fn short<'a>(&self, name: &'a str) -> &'a str {
        name.strip_suffix(&*self.suffix).unwrap_or(name)
    }
}

/// Longest answer with a length that is read whole to have one again, in bytes
const SHORT: u64 = 64 << 10;
