//! Somebody else's running build: its secrets, its context, its log, its end.

use futures_util::future::join_all;

use super::{ALL, Attempt, Failure, GoesWell as _, Play, Sides, tried};
use crate::engines::buildkit::build::{BRIDGE_SOLVE, BUILD_ID, Build, PING, READ_FILE, RETURN, id, read};
use crate::engines::buildkit::client::{Client, Reply, frame};
use crate::engines::buildkit::llb::Run;
use crate::engines::buildkit::message::{Message, found, text};
use crate::engines::buildkit::session::{Offer, Session};
use crate::engines::http::{PATIENCE, ask};
use crate::engines::setting::Engine;

/// Plays on one engine; what failed
pub fn run(engine: &Engine) -> Vec<String> {
    super::play(engine, async |play| {
        let victims = match Victims::building(play).await {
            Ok(victims) => victims,
            Err(why) => return play.failed(format!("the victim does not build: {why:?}")),
        };
        tokio::join!(
            play.attack("another's secret, by its build", ALL, "no such job", of(&victims, secret_by_build)),
            play.attack(
                "another's secret, by raw steps in its build",
                ALL,
                "steps that no frontend made",
                of(&victims, secret_by_steps)
            ),
            play.attack("another's secret, by its session", ALL, "no active session", of(&victims, secret_by_session)),
            play.attack(
                "another's secret, by its session and the classic door",
                ALL,
                "`/build?version=2`",
                secret_by_request,
            ),
            play.attack(
                "another's secret, by its build beside one's own",
                &[],
                "a header stands several times",
                of(&victims, secret_by_two_builds),
            ),
            play.attack(
                "another's context, by a session for one directory",
                &["sid"],
                "not found",
                of(&victims, context_by_session)
            ),
            play.attack("another's log, as it is written", ALL, "no such job", of(&victims, log)),
            play.attack("another's build, ended", ALL, "no such job", end),
            play.attack(
                "another's build, told from one that is not there",
                ALL,
                "no such job NAME",
                of(&victims, told_apart)
            ),
            play.attack("another's build, by its name", ALL, "no such job", of(&victims, same_name)),
        );
        // It leaves sessions of the attacker's under those names.
        play.attack("another's session, by its name", ALL, "an own session of that name", of(&victims, same_session))
            .await;
        if let Err(why) = victims.end().await {
            play.failed(format!("after the attacks: {why:?}"));
        }
    })
}

/// The two that are attacked: on the engine itself, and through sockwarden
struct Victims {
    bare: Victim,
    through: Victim,
}

impl Victims {
    async fn building(play: &Play<'_>) -> Result<Self, Failure> {
        let [bare, through] = play.sides();
        let (bare, through) = tokio::join!(Victim::building(&bare), Victim::building(&through));
        Ok(Self { bare: bare?, through: through? })
    }

    /// Their builds go well all the same
    async fn end(self) -> Result<(), Failure> {
        self.bare.ends().await?;
        // Where attacks come to nothing, nothing of it was asked for.
        let given = self.through.build.offered.given();
        if given != self.through.given {
            return Err(Failure::Unplayed("the victim's session was asked for something".to_owned()));
        }
        self.through.ends().await
    }
}

/// An attack on the one of the two that is where it is played
fn of(victims: &Victims, attack: impl AsyncFn(&Sides, &Victim) -> Attempt) -> impl AsyncFn(&Sides) -> Attempt {
    async move |sides: &Sides| {
        let victim = if sides.suffix.is_empty() { &victims.bare } else { &victims.through };
        attack(sides, victim).await
    }
}

/// A build of the victim's that is under way: its first step is done, its secret was read
struct Victim {
    build: Build,
    result: String,
    /// What is in its file, its secret and its log
    word: String,
    /// How many files and secrets it has given by itself
    given: usize,
}

impl Victim {
    async fn building(sides: &Sides) -> Result<Self, Failure> {
        let offer = Offer::dockerfile(DOCKERFILE).file("file", &sides.word).secret("token", &sides.word);
        let options = [("build-arg:WORD", sides.word.as_str())];
        let build = Build::start(&sides.victim, &offer).await.goes_well("the victim's build starts")?;
        let result = build.dockerfile(&options).await.goes_well("the victim's Dockerfile is read")?;
        let read = build.read(&result, "/out").await.goes_well("the victim's step runs")?;
        if read != format!("{0} {0}\n", sides.word) {
            return Err(Failure::Unplayed(format!("the victim's own result is {read:?}")));
        }
        let given = build.offered.given();
        Ok(Self { build, result, word: sides.word.clone(), given })
    }

    /// Its names, as it calls them and as the engine has them
    fn names(name: &str, sides: &Sides) -> Vec<String> {
        let full = format!("{name}{}", sides.suffix);
        if full == name { vec![full] } else { vec![name.to_owned(), full] }
    }

    /// The victim has noticed nothing
    async fn ends(self) -> Result<(), Failure> {
        self.build.end(&self.result).await.goes_well("the victim's build goes well")
    }
}

fn taken(word: &str, seen: Result<String, Reply>) -> Attempt {
    let seen = seen?;
    if seen.contains(word) { Ok(()) } else { Err(format!("nothing in {seen:?}").into()) }
}

async fn secret_by_build(sides: &Sides, victim: &Victim) -> Attempt {
    let client = Client::open(&sides.attacker).await?;
    tried(Victim::names(&victim.build.reference, sides), async |name| {
        // The victim's own Dockerfile, once more: what it needs comes from the victim.
        let asked = Message::new().with(2, "dockerfile.v0").map(3, &[("build-arg:WORD", "again")]);
        let asked = asked.number(5, 1).number(6, 1);
        let answer = client.call(BRIDGE_SOLVE, &[(BUILD_ID, name)], asked).await.ok()?;
        taken(&victim.word, read(&client, name, &text(&answer, &[3, 3, 1]), "/out").await)
    })
    .await
}

async fn secret_by_steps(sides: &Sides, victim: &Victim) -> Attempt {
    let client = Client::open(&sides.attacker).await?;
    tried(Victim::names(&victim.build.reference, sides), async |name| {
        let run =
            Run { secret: "token".to_owned(), ..Run::new(&format!("cat /run/secrets/token > /out; : {}", id("n"))) };
        let asked = Message::new().with(1, run.definition()).number(5, 1).number(6, 1);
        let answer = client.call(BRIDGE_SOLVE, &[(BUILD_ID, name)], asked).await.ok()?;
        taken(&victim.word, read(&client, name, &text(&answer, &[3, 3, 1]), "/out").await)
    })
    .await
}

async fn secret_by_session(sides: &Sides, victim: &Victim) -> Attempt {
    tried(Victim::names(&victim.build.session, sides), async |name| {
        let own = Session::open(&sides.attacker, &id("s"), &Offer::default()).await?;
        let build = Build::start_in(&sides.attacker, own, name.to_owned(), Message::new()).await?;
        let result = build.dockerfile(&[("build-arg:WORD", "again")]).await?;
        taken(&victim.word, build.read(&result, "/out").await)
    })
    .await
}

/// `POST /build` with BuildKit takes a session by its name, too
async fn secret_by_request(sides: &Sides) -> Attempt {
    let victim = Victim::building(sides).await?;
    let given = victim.build.offered.given();
    let taken = tried(Victim::names(&victim.build.session, sides), async |name| {
        let arguments = "%7B%22WORD%22%3A%22again%22%7D";
        let target = format!("/v1.41/build?version=2&remote=client-session&session={name}&buildargs={arguments}");
        let attacker = sides.attacker.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&attacker, "POST", &target, "")).await;
        let answer = answer.goes_well("asking")?;
        if victim.build.offered.given() > given { Ok(()) } else { Err(answer.text().into()) }
    });
    let taken = taken.await;
    victim.ends().await?;
    taken
}

/// One name for whoever judges and another for whoever builds
async fn secret_by_two_builds(sides: &Sides, victim: &Victim) -> Attempt {
    tried(Victim::names(&victim.build.reference, sides), async |name| {
        let own = Build::start(&sides.attacker, &Offer::dockerfile("FROM busybox:test\n")).await?;
        let asked = || Message::new().with(2, "dockerfile.v0").map(3, &[("build-arg:WORD", "again")]).number(5, 1);
        let mut why = Vec::new();
        for names in [[name, &own.reference], [&own.reference, name]] {
            let names = names.map(|name| (BUILD_ID, name));
            match own.client.call(BRIDGE_SOLVE, &names, asked().number(6, 1)).await.ok() {
                Ok(answer) => {
                    let result = text(&answer, &[3, 3, 1]);
                    match read(&own.client, name, &result, "/out").await {
                        Ok(seen) if seen.contains(&victim.word) => return Ok(()),
                        other => why.push(format!("{other:?}")),
                    }
                }
                Err(reply) => why.push(format!("{} {}", reply.status, reply.said)),
            }
        }
        Err(why.join(", ").into())
    })
    .await
}

async fn context_by_session(sides: &Sides, victim: &Victim) -> Attempt {
    tried(Victim::names(&victim.build.session, sides), async |name| {
        let offer = Offer::dockerfile("FROM busybox:test\nCOPY file /out\n");
        let build = Build::start(&sides.attacker, &offer).await?;
        let result = build.dockerfile(&[("local-sessionid:context", name)]).await?;
        taken(&victim.word, build.read(&result, "/out").await)
    })
    .await
}

async fn log(sides: &Sides, victim: &Victim) -> Attempt {
    let client = Client::open(&sides.attacker).await?;
    tried(Victim::names(&victim.build.reference, sides), async |name| {
        let asked = frame(0, Message::new().with(1, name).as_ref());
        let mut answers = client.start(STATUS, &[], asked).await.map_err(|error| error.to_string())?;
        let listening = async {
            while let Some(message) = answers.next().await {
                let logs = found(&message, &[3, 4]).concat();
                if String::from_utf8_lossy(&logs).contains(&victim.word) {
                    return Ok(());
                }
            }
            Err(answers.rest().await.into())
        };
        // The log of a build that runs has no end.
        tokio::time::timeout(PATIENCE, listening).await.unwrap_or_else(|_| Err("silence".to_owned().into()))
    })
    .await
}

async fn end(sides: &Sides) -> Attempt {
    let victim = Victim::building(sides).await?;
    let client = Client::open(&sides.attacker).await?;
    let ended = tried(Victim::names(&victim.build.reference, sides), async |name| {
        let error = Message::new().number(1, 1).with(2, "ended by somebody else");
        let asked = Message::new().with(2, error);
        client.call(RETURN, &[(BUILD_ID, name)], asked).await.ok().map(|_| ()).map_err(Failure::from)
    });
    let ended = ended.await;
    if ended.is_err() {
        victim.ends().await?;
    }
    ended
}

/// A second session under the victim's id would get what the engine asks the victim for
async fn same_session(sides: &Sides, victim: &Victim) -> Attempt {
    tried(Victim::names(&victim.build.session, sides), async |name| {
        let own = Session::open(&sides.attacker, name, &Offer::dockerfile(DOCKERFILE)).await;
        let Err(said) = own else { return Err("an own session of that name".to_owned().into()) };
        if said.contains("already exists") { Ok(()) } else { Err(said.into()) }
    })
    .await
}

/// A second build under the victim's name tells that there is one, and joins it
async fn same_name(sides: &Sides, victim: &Victim) -> Attempt {
    tried(Victim::names(&victim.build.reference, sides), async |name| {
        let client = Client::open(&sides.attacker).await?;
        client.call(PING, &[(BUILD_ID, name)], "").await.ok().map(|_| ()).map_err(Failure::from)
    })
    .await
}

/// Whether any call is answered in another way for the victim's build than for one that nobody has started
async fn told_apart(sides: &Sides, victim: &Victim) -> Attempt {
    let client = Client::open(&sides.attacker).await?;
    let answers = async |name: &str| {
        let of = [(BUILD_ID, name)];
        let frontend = Message::new().with(2, "dockerfile.v0").number(5, 1).number(6, 1);
        let file = Message::new().with(1, "none").with(2, "/out");
        let asked = [
            (PING, &of[..], Message::new()),
            (BRIDGE_SOLVE, &of[..], frontend),
            (READ_FILE, &of[..], file),
            (STATUS, &[], Message::new().with(1, name)),
        ];
        let calls = asked.map(|(path, metadata, message)| {
            let client = &client;
            async move {
                let call = async {
                    let mut answers = match client.start(path, metadata, frame(0, message.as_ref())).await {
                        Ok(answers) => answers,
                        Err(error) => return error.to_string(),
                    };
                    // A log that runs has no end, and is as good as any other answer that is not the one for what is missing.
                    if path == STATUS && answers.next().await.is_some() {
                        return "a log".to_owned();
                    }
                    let reply = answers.rest().await;
                    format!("{} {}", reply.status, reply.said)
                };
                let said = tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|_| "no end".to_owned());
                format!("{path}: {}", said.split(" [record ").next().unwrap_or_default().replace(name, "NAME"))
            }
        });
        join_all(calls).await
    };
    let names = Victim::names(&victim.build.reference, sides);
    tried(names, async |name| {
        // What nobody has started, by a name that ends alike.
        let end = if name == victim.build.reference { "" } else { &sides.suffix };
        let unknown = format!("{}{end}", id("r"));
        let (seen, nobodys) = tokio::join!(answers(name), answers(&unknown));
        if seen == nobodys { Err(seen.join("; ").into()) } else { Ok(()) }
    })
    .await
}

const DOCKERFILE: &str = "FROM busybox:test
ARG WORD
COPY file /file
RUN --mount=type=secret,id=token echo $(cat /file) $(cat /run/secrets/token) | tee /out; : $WORD
";

const STATUS: &str = "/moby.buildkit.v1.Control/Status";
