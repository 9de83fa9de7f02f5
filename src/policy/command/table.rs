//! Every command that a test may use: its names, options and requests.

use crate::policy::command::draft::Draft;
use crate::policy::command::option::{Kind, Opt, opt};
use crate::policy::command::words::Word;
use crate::policy::command::{BadRequest, Http, buildx, exec, image, network, run, value};

/// A command
#[derive(Debug)]
pub(super) struct Command {
    /// Its names without `docker`
    pub names: &'static [&'static str],
    /// Its options
    pub options: &'static [&'static [Opt]],
    /// What its operands are for
    pub operands: Operands,
    /// Method and path of its requests; `{}` is the operand
    pub steps: &'static [(&'static str, &'static str)],
    /// Whether what follows the first operand is not its own
    pub stops_at_operand: bool,
}

/// What operands are for
#[derive(Debug, Clone, Copy)]
pub(super) enum Operands {
    /// There are none
    None,
    /// Each makes the requests anew
    Each,
    /// Something of its own
    Custom(fn(Draft, &[Word]) -> Result<Vec<Http>, BadRequest>),
}

const fn plain(
    names: &'static [&'static str],
    options: &'static [&'static [Opt]],
    steps: &'static [(&'static str, &'static str)],
) -> Command {
    Command { names, options, operands: Operands::None, steps, stops_at_operand: false }
}

const fn each(
    names: &'static [&'static str],
    options: &'static [&'static [Opt]],
    steps: &'static [(&'static str, &'static str)],
) -> Command {
    Command { names, options, operands: Operands::Each, steps, stops_at_operand: false }
}

const fn custom(
    names: &'static [&'static str],
    options: &'static [&'static [Opt]],
    make: fn(Draft, &[Word]) -> Result<Vec<Http>, BadRequest>,
) -> Command {
    Command { names, options, operands: Operands::Custom(make), steps: &[], stops_at_operand: false }
}

const fn running(command: Command) -> Command {
    Command { stops_at_operand: true, ..command }
}

/// All commands
pub(super) const TABLES: &[&[Command]] = &[CONTAINERS, IMAGES, NETWORKS, VOLUMES, SYSTEM, CLOSED];

const CONTAINERS: &[Command] = &[
    running(custom(&["run", "container run"], &[run::RUN, run::INSIDE, run::HOST, run::LIMITS], run::run)),
    running(custom(&["create", "container create"], &[run::INSIDE, run::HOST, run::LIMITS], run::create)),
    running(custom(&["exec", "container exec"], &[exec::EXEC], exec::exec)),
    custom(&["cp", "container cp"], &[COPY], exec::copy),
    running(custom(&["top", "container top"], &[], exec::top)),
    custom(&["rename", "container rename"], &[], exec::rename),
    custom(&["update", "container update"], &[run::LIMITS, RESTART], exec::update),
    custom(&["stats", "container stats"], &[LIST], exec::stats),
    custom(&["commit", "container commit"], &[exec::COMMIT], exec::commit),
    plain(
        &["ps", "container ls", "container list", "container ps"],
        &[LIST, FILTERS, PS],
        &[("GET", "/containers/json")],
    ),
    plain(&["container prune"], &[ONLY, FORCED], &[("POST", "/containers/prune")]),
    each(&["inspect", "container inspect"], &[INSPECT, INSPECT_SIZE], &[("GET", "/containers/{}/json")]),
    each(&["logs", "container logs"], &[LOGS], &[("GET", "/containers/{}/logs")]),
    each(&["port", "container port"], &[], &[("GET", "/containers/{}/json")]),
    each(&["diff", "container diff"], &[], &[("GET", "/containers/{}/changes")]),
    each(&["export", "container export"], &[OUTPUT], &[("GET", "/containers/{}/export")]),
    each(&["attach", "container attach"], &[ATTACH], &[("POST", "/containers/{}/attach?stream=1&stdout=1&stderr=1")]),
    each(&["start", "container start"], &[ATTACH, START], &[("POST", "/containers/{}/start")]),
    each(&["stop", "container stop"], &[STOP], &[("POST", "/containers/{}/stop")]),
    each(&["restart", "container restart"], &[STOP], &[("POST", "/containers/{}/restart")]),
    each(&["kill", "container kill"], &[KILL], &[("POST", "/containers/{}/kill")]),
    each(&["pause", "container pause"], &[], &[("POST", "/containers/{}/pause")]),
    each(&["unpause", "container unpause"], &[], &[("POST", "/containers/{}/unpause")]),
    each(&["wait", "container wait"], &[], &[("POST", "/containers/{}/wait")]),
    each(&["rm", "container rm", "container remove"], &[REMOVE], &[("DELETE", "/containers/{}")]),
];

/// `docker build` with BuildKit
pub(super) const BUILDX: Command =
    custom(&["buildx build", "buildx b"], &[image::BUILD, buildx::OPTIONS], image::build);

const IMAGES: &[Command] = &[
    BUILDX,
    custom(&["pull", "image pull"], &[image::PULL], image::pull),
    custom(&["push", "image push"], &[image::PULL], image::push),
    custom(&["tag", "image tag"], &[], image::tag),
    custom(&["save", "image save"], &[OUTPUT, PLATFORM], image::save),
    custom(&["import", "image import"], &[IMPORT], image::import),
    custom(&["search"], &[FILTERS, SEARCH], image::search),
    custom(&["build", "image build", "builder build"], &[image::BUILD], image::build),
    plain(&["load", "image load"], &[LOAD], &[("POST", "/images/load")]),
    plain(&["images", "image ls", "image list"], &[LIST, FILTERS, IMAGES_LIST], &[("GET", "/images/json")]),
    plain(&["image prune"], &[ONLY, FORCED, ALL], &[("POST", "/images/prune")]),
    plain(&["builder prune"], &[ONLY, FORCED, ALL], &[("POST", "/build/prune")]),
    each(&["image inspect"], &[INSPECT], &[("GET", "/images/{}/json")]),
    each(&["history", "image history"], &[LIST], &[("GET", "/images/{}/history")]),
    each(&["rmi", "image rm", "image remove"], &[RMI], &[("DELETE", "/images/{}")]),
];

const NETWORKS: &[Command] = &[
    custom(&["network create"], &[network::CREATE], network::create),
    custom(&["network connect"], &[network::CONNECT], network::connect),
    custom(&["network disconnect"], &[DISCONNECT], network::disconnect),
    plain(&["network ls", "network list"], &[LIST, FILTERS], &[("GET", "/networks")]),
    plain(&["network prune"], &[ONLY, FORCED], &[("POST", "/networks/prune")]),
    each(&["network inspect"], &[INSPECT], &[("GET", "/networks/{}")]),
    each(&["network rm", "network remove"], &[FORCED], &[("DELETE", "/networks/{}")]),
];

const VOLUMES: &[Command] = &[
    custom(&["volume create"], &[VOLUME], volume),
    plain(&["volume ls", "volume list"], &[LIST, FILTERS], &[("GET", "/volumes")]),
    plain(&["volume prune"], &[ONLY, FORCED, ALL], &[("POST", "/volumes/prune")]),
    each(&["volume inspect"], &[INSPECT], &[("GET", "/volumes/{}")]),
    each(&["volume rm", "volume remove"], &[FORCE], &[("DELETE", "/volumes/{}")]),
];

const SYSTEM: &[Command] = &[
    custom(&["login"], &[image::LOGIN], image::login),
    custom(&["system prune"], &[ONLY, FORCED, PRUNE], prune),
    plain(&["version"], &[LIST], &[("HEAD", "/_ping"), ("GET", "/version")]),
    plain(&["info", "system info"], &[LIST], &[("GET", "/info")]),
    plain(&["events", "system events"], &[FILTERS, EVENTS], &[("GET", "/events")]),
    plain(&["system df"], &[LIST, VERBOSE], &[("GET", "/system/df")]),
];

/// Commands whose requests are closed, so that a test can say so
const CLOSED: &[Command] = &[
    running(custom(&["plugin install"], &[], |_, _| closed("GET", "/plugins/privileges"))),
    running(custom(&["plugin ls", "plugin list"], &[], |_, _| closed("GET", "/plugins"))),
    running(custom(&["swarm init"], &[], |_, _| closed("POST", "/swarm/init"))),
    running(custom(&["swarm join"], &[], |_, _| closed("POST", "/swarm/join"))),
    running(custom(&["swarm leave"], &[], |_, _| closed("POST", "/swarm/leave"))),
    running(custom(&["service create"], &[], |_, _| closed("POST", "/services/create"))),
    running(custom(&["service ls", "service list"], &[], |_, _| closed("GET", "/services"))),
    running(custom(&["stack deploy"], &[], |_, _| closed("POST", "/services/create"))),
    running(custom(&["node ls", "node list"], &[], |_, _| closed("GET", "/nodes"))),
    running(custom(&["secret create"], &[], |_, _| closed("POST", "/secrets/create"))),
    running(custom(&["config create"], &[], |_, _| closed("POST", "/configs/create"))),
    running(custom(&["checkpoint create"], &[], |_, _| closed("POST", "/containers/new/checkpoints"))),
];

fn closed(method: &str, path: &str) -> Result<Vec<Http>, BadRequest> {
    Ok(vec![Draft::default().request(method, path, "")])
}

fn volume(mut draft: Draft, operands: &[Word]) -> Result<Vec<Http>, BadRequest> {
    match operands {
        [] => {}
        [name] => *draft.slot("Name") = serde_json::json!(name.text),
        _ => return Err(BadRequest::new("`docker volume create` takes one name")),
    }
    Ok(vec![draft.request("POST", "/volumes/create", "")])
}

/// What `docker system prune` does, one after the other
fn prune(draft: Draft, _: &[Word]) -> Result<Vec<Http>, BadRequest> {
    let mut paths = vec!["/containers/prune", "/networks/prune", "/images/prune", "/build/prune"];
    if draft.note("volumes").is_some() {
        paths.push("/volumes/prune");
    }
    Ok(paths.into_iter().map(|path| draft.request("POST", path, "")).collect())
}

const FILTERS: &[Opt] = &[opt("filter", "f", "", Kind::Special(value::filter))];
/// Of prune, where `-f` is `--force`
const ONLY: &[Opt] = &[opt("filter", "", "", Kind::Special(value::filter))];
const LIST: &[Opt] = &[
    opt("format", "", "", Kind::Note),
    opt("no-trunc", "", "", Kind::SwitchNote),
    opt("no-stream", "", "", Kind::SwitchNote),
    opt("human", "", "", Kind::SwitchNote),
    opt("quiet", "q", "", Kind::SwitchNote),
];
const PS: &[Opt] = &[
    opt("all", "a", "?all", Kind::Switch),
    opt("last", "n", "?limit", Kind::Int),
    opt("latest", "l", "", Kind::SwitchNote),
    opt("size", "s", "?size", Kind::Switch),
];
const IMAGES_LIST: &[Opt] = &[opt("all", "a", "?all", Kind::Switch), opt("digests", "", "", Kind::SwitchNote)];
const INSPECT: &[Opt] = &[opt("format", "f", "", Kind::Note)];
const INSPECT_SIZE: &[Opt] = &[opt("size", "s", "?size", Kind::Switch), opt("type", "", "", Kind::Note)];
const LOGS: &[Opt] = &[
    opt("details", "", "?details", Kind::Switch),
    opt("follow", "f", "?follow", Kind::Switch),
    opt("since", "", "?since", Kind::Text),
    opt("tail", "n", "?tail", Kind::Text),
    opt("timestamps", "t", "?timestamps", Kind::Switch),
    opt("until", "", "?until", Kind::Text),
];
const EVENTS: &[Opt] = &[
    opt("format", "", "", Kind::Note),
    opt("since", "", "?since", Kind::Text),
    opt("until", "", "?until", Kind::Text),
];
const ATTACH: &[Opt] = &[
    opt("detach-keys", "", "", Kind::Note),
    opt("no-stdin", "", "", Kind::SwitchNote),
    opt("sig-proxy", "", "", Kind::SwitchNote),
];
const START: &[Opt] = &[opt("attach", "a", "", Kind::SwitchNote), opt("interactive", "i", "", Kind::SwitchNote)];
const STOP: &[Opt] = &[
    opt("signal", "s", "?signal", Kind::Text),
    opt("time", "", "?t", Kind::Int),
    opt("timeout", "t", "?t", Kind::Int),
];
const KILL: &[Opt] = &[opt("signal", "s", "?signal", Kind::Text)];
const REMOVE: &[Opt] = &[
    opt("force", "f", "?force", Kind::Switch),
    opt("link", "l", "?link", Kind::Switch),
    opt("volumes", "v", "?v", Kind::Switch),
];
const RMI: &[Opt] = &[opt("force", "f", "?force", Kind::Switch), opt("no-prune", "", "?noprune", Kind::Switch)];
const FORCE: &[Opt] = &[opt("force", "f", "?force", Kind::Switch)];
const DISCONNECT: &[Opt] = &[opt("force", "f", "Force", Kind::Switch)];
/// `--force` that only keeps the CLI from asking
const FORCED: &[Opt] = &[opt("force", "f", "", Kind::SwitchNote)];
const ALL: &[Opt] = &[opt("all", "a", "", Kind::SwitchNote)];
const PRUNE: &[Opt] = &[opt("all", "a", "", Kind::SwitchNote), opt("volumes", "", "", Kind::SwitchNote)];
const VERBOSE: &[Opt] = &[opt("verbose", "v", "", Kind::SwitchNote)];
const OUTPUT: &[Opt] = &[opt("output", "o", "", Kind::Note)];
const PLATFORM: &[Opt] = &[opt("platform", "", "?platform", Kind::Text)];
const LOAD: &[Opt] = &[opt("input", "i", "", Kind::Note), opt("quiet", "q", "?quiet", Kind::Switch)];
const IMPORT: &[Opt] = &[
    opt("change", "c", "?changes", Kind::Text),
    opt("message", "m", "?message", Kind::Text),
    opt("platform", "", "?platform", Kind::Text),
];
const SEARCH: &[Opt] = &[
    opt("format", "", "", Kind::Note),
    opt("limit", "", "?limit", Kind::Int),
    opt("no-trunc", "", "", Kind::SwitchNote),
];
const COPY: &[Opt] = &[
    opt("archive", "a", "", Kind::SwitchNote),
    opt("follow-link", "L", "", Kind::SwitchNote),
    opt("quiet", "q", "", Kind::SwitchNote),
];
const RESTART: &[Opt] = &[opt("restart", "", "", Kind::Special(run::restart))];
const VOLUME: &[Opt] = &[
    opt("driver", "d", "Driver", Kind::Text),
    opt("label", "", "Labels", Kind::Map),
    opt("name", "", "Name", Kind::Text),
    opt("opt", "o", "DriverOpts", Kind::Map),
];
