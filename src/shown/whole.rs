//! Lists and figures that are read whole: what is the owner's own, or there for it to be seen, stays.

use std::collections::BTreeMap;

use regex::Regex;

use crate::api::json::Json;
use crate::policy::ask::Object;
use crate::policy::modify::OWNER_LABEL;
use crate::shown::{Sees, Shape};

/// Leaves in an answer what `sees` lets be seen; `own` are the owner's containers, and `names` what a list was asked for
pub fn narrow(shape: Shape, answer: &mut Json, sees: &impl Sees, own: &Containers, names: &[String]) {
    match shape {
        Shape::Networks => {
            let names: Vec<Pattern> = names.iter().map(|name| Pattern::new(name)).collect();
            if let Json::List(networks) = answer {
                networks.retain(|network| {
                    let name = sees.short(text(network, "Name"));
                    see(sees, Object::Network, network)
                        && (names.is_empty() || names.iter().any(|pattern| pattern.finds(name)))
                });
                networks.iter_mut().for_each(|network| members(network, own));
            }
        }
        Shape::Network => members(answer, own),
        Shape::Volumes => keep(answer.member_mut("Volumes"), |volume| see(sees, Object::Volume, volume)),
        Shape::Usage => usage(answer, sees, own),
        Shape::Info => {
            let count = |states: &[&str]| {
                let of = own.own.values().filter(|container| states.is_empty() || states.contains(&&*container.state));
                Json::Int(of.count() as i128)
            };
            let figures = [
                ("Containers", count(&[])),
                ("ContainersRunning", count(&["running", "restarting"])),
                ("ContainersPaused", count(&["paused"])),
                ("ContainersStopped", count(&["created", "exited", "dead", "removing"])),
            ];
            for (key, figure) in figures {
                set(answer, key, figure);
            }
        }
    }
}

/// The owner's containers by their ids
#[derive(Debug, Default)]
pub struct Containers {
    own: BTreeMap<String, Container>,
    caller: Option<String>,
}

#[derive(Debug)]
struct Container {
    state: String,
    image: String,
}

impl Containers {
    /// What the engine listed under the owner's label; the caller's own container is seen on networks as well
    ///
    /// # Errors
    /// When it is no such list.
    pub fn read(list: &[u8], caller: Option<&str>) -> Result<Self, String> {
        let Json::List(listed) = Json::parse(list)? else { return Err("no list of containers".to_owned()) };
        let container = |one: &Json| {
            let [state, image] = ["State", "ImageID"].map(|key| text(one, key).to_owned());
            (text(one, "Id").to_owned(), Container { state, image })
        };
        Ok(Self { own: listed.iter().map(container).collect(), caller: caller.map(str::to_owned) })
    }

    /// Whether a container of that id is the owner's
    pub fn has(&self, id: &str) -> bool {
        self.own.contains_key(id)
    }

    /// How many of them are made of an image
    pub fn of_image(&self, id: &str) -> usize {
        self.own.values().filter(|container| container.image == id).count()
    }
}

/// Whether an answer of this shape is about containers as well, so that the owner's must be known
pub fn needs_containers(shape: Shape, answer: &Json) -> bool {
    let attached = |network: &Json| matches!(network.member("Containers"), Some(Json::Object(all)) if !all.is_empty());
    match shape {
        Shape::Network => attached(answer),
        Shape::Networks => matches!(answer, Json::List(networks) if networks.iter().any(attached)),
        Shape::Usage | Shape::Info => true,
        Shape::Volumes => false,
    }
}

/// Others' containers on a network are not to be seen
fn members(network: &mut Json, own: &Containers) {
    if let Some(Json::Object(attached)) = network.member_mut("Containers") {
        attached.retain(|(id, _)| own.own.contains_key(id) || own.caller.as_ref() == Some(id));
    }
}

fn usage(answer: &mut Json, sees: &impl Sees, own: &Containers) {
    keep(answer.member_mut("Containers"), |container| own.own.contains_key(text(container, "Id")));
    keep(answer.member_mut("Volumes"), |volume| see(sees, Object::Volume, volume));
    keep(answer.member_mut("Images"), |image| label(image).is_none() || see(sees, Object::Image, image));
    if let Some(Json::List(images)) = answer.member_mut("Images") {
        for image in images {
            let users = own.of_image(text(image, "Id"));
            set(image, "Containers", Json::Int(users as i128));
        }
    }
    // Nothing in it says whose it is.
    keep(answer.member_mut("BuildCache"), |_| false);
    set(answer, "BuilderSize", Json::Int(0));
}

fn keep(list: Option<&mut Json>, which: impl Fn(&Json) -> bool) {
    if let Some(Json::List(elements)) = list {
        elements.retain(which);
    }
}

fn set(object: &mut Json, key: &str, to: Json) {
    if let Some(slot) = object.member_mut(key) {
        *slot = to;
    }
}

fn see(sees: &impl Sees, object: Object, of: &Json) -> bool {
    let name = text(of, "Name");
    let id = match text(of, "Id") {
        "" => name,
        id => id,
    };
    sees.sees(object, id, name, label(of))
}

fn label(of: &Json) -> Option<&str> {
    of.member("Labels")?.member(OWNER_LABEL)?.text()
}

fn text<'a>(of: &'a Json, key: &str) -> &'a str {
    of.member(key).and_then(Json::text).unwrap_or("")
}

/// A value of a name filter: a regular expression, or the name itself
struct Pattern(String, Option<Regex>);

impl Pattern {
    fn new(text: &str) -> Self {
        Self(text.to_owned(), Regex::new(text).ok())
    }

    fn finds(&self, name: &str) -> bool {
        self.0 == name || self.1.as_ref().is_some_and(|regex| regex.is_match(name))
    }
}
