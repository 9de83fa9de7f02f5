//! What the ledger promises, whatever the engine does.

use std::time::Duration;

use super::*;

const APP: &str = "docker.io/library/app:1";

fn ledger() -> (Arc<Ledger>, Owner, Owner) {
    (Arc::default(), Owner::new("a"), Owner::new("b"))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn make(ledger: &Arc<Ledger>, owner: &Owner) {
    let mut making = ledger.make(owner, &names(&[APP])).unwrap();
    making.sent();
    making.made();
}

fn pull(ledger: &Arc<Ledger>, owner: &Owner, existed: bool) {
    ledger.pull(owner, APP, existed).unwrap().pulled();
}

#[test]
fn of_two_who_make_one_name_one_gets_it() {
    let (ledger, a, b) = ledger();
    let first = ledger.make(&a, &names(&[APP])).unwrap();
    assert_eq!(ledger.make(&b, &names(&[APP])).unwrap_err(), [(APP.to_owned(), Taken::InTheMaking)]);
    assert_eq!((ledger.standing(&a, APP), ledger.standing(&b, APP)), (Standing::Own, Standing::Foreign));
    first.made();
    assert_eq!(ledger.make(&b, &names(&[APP])).unwrap_err(), [(APP.to_owned(), Taken::ByAnother)]);
    assert!(ledger.make(&a, &names(&[APP])).is_ok());
}

#[test]
fn of_a_hundred_at_once_one_gets_it() {
    let ledger = Arc::<Ledger>::default();
    let won: Vec<_> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..100)
            .map(|number| {
                let ledger = &ledger;
                scope.spawn(move || ledger.make(&Owner::new(&number.to_string()), &names(&[APP])))
            })
            .collect();
        tries.into_iter().filter_map(|one| one.join().unwrap().ok()).collect()
    });
    assert_eq!(won.len(), 1);
}

#[test]
fn all_names_are_claimed_or_none() {
    let (ledger, a, b) = ledger();
    make(&ledger, &a);
    assert!(ledger.make(&b, &names(&["docker.io/library/other:1", APP])).is_err());
    assert_eq!(ledger.standing(&b, "docker.io/library/other:1"), Standing::Unknown);
    assert!(ledger.make(&a, &names(&["docker.io/library/other:1", APP])).is_ok());
}

#[test]
fn a_request_that_was_not_sent_gives_back() {
    let (ledger, a, b) = ledger();
    drop(ledger.make(&a, &names(&[APP])).unwrap());
    assert_eq!(ledger.standing(&a, APP), Standing::Unknown);
    assert!(ledger.lock().names.is_empty(), "what is not known takes room");
    assert!(ledger.make(&b, &names(&[APP])).is_ok());
}

#[test]
fn a_request_whose_end_nobody_saw_keeps_its_names() {
    let (ledger, a, b) = ledger();
    let mut making = ledger.make(&a, &names(&[APP])).unwrap();
    making.sent();
    drop(making);
    assert_eq!(ledger.standing(&b, APP), Standing::Foreign);
}

#[test]
fn a_request_that_failed_keeps_only_what_it_changed() {
    let (ledger, a, b) = ledger();
    let others = ["changed", "unchanged", "new", "absent", "unasked"];
    let mut making = ledger.make(&a, &names(&others)).unwrap();
    for claimed in making.names() {
        claimed.before = ["changed", "unchanged"].contains(&&*claimed.name).then(|| "old".to_owned());
    }
    making.sent();
    let now = [("changed", Some("new")), ("unchanged", Some("old")), ("new", Some("new")), ("absent", None)];
    making.tried(&now.map(|(name, id)| (name.to_owned(), id.map(str::to_owned))).into());
    let foreign = others.map(|name| ledger.standing(&b, name) == Standing::Foreign);
    assert_eq!(foreign, [true, false, true, false, true]);
}

#[test]
fn two_makings_of_one_owner_end_with_the_last() {
    let (ledger, a, b) = ledger();
    let (first, second) = (ledger.make(&a, &names(&[APP])).unwrap(), ledger.make(&a, &names(&[APP])).unwrap());
    drop(first);
    assert!(ledger.make(&b, &names(&[APP])).is_err());
    drop(second);
    assert!(ledger.make(&b, &names(&[APP])).is_ok());
}

#[test]
fn what_is_on_its_way_may_be_there_and_is_not_the_hosts() {
    let (ledger, a, _) = ledger();
    let (mut first, second) = (ledger.make(&a, &names(&[APP])).unwrap(), ledger.make(&a, &names(&[APP])).unwrap());
    assert!(!ledger.knows(APP), "claimed, and not sent");
    first.sent();
    assert!(ledger.knows(APP));
    first.unsent();
    assert!(!ledger.knows(APP), "it did not get on its way");
    first.sent();
    first.tried(&[(APP.to_owned(), None)].into());
    assert!(!ledger.knows(APP), "nothing came of it");
    second.made();
    assert!(ledger.knows(APP));
}

#[test]
fn a_pull_ends_the_claim_of_who_made_the_name() {
    let (ledger, a, b) = ledger();
    make(&ledger, &a);
    pull(&ledger, &b, true);
    assert_eq!((ledger.standing(&a, APP), ledger.standing(&b, APP)), (Standing::Pulled, Standing::PulledByIt));
    assert!(ledger.make(&a, &names(&[APP])).is_err() && ledger.make(&b, &names(&[APP])).is_err());
    assert!(ledger.removable(&a, APP).is_err() && ledger.removable(&b, APP).is_err());
}

#[test]
fn a_pull_that_failed_changes_nothing() {
    let (ledger, a, b) = ledger();
    make(&ledger, &a);
    drop(ledger.pull(&b, APP, true).unwrap());
    assert_eq!(ledger.standing(&a, APP), Standing::Own);
    assert!(ledger.make(&a, &names(&[APP])).is_ok());
}

#[test]
fn nobody_makes_what_another_pulls_nor_pulls_what_another_makes() {
    let (ledger, a, b) = ledger();
    let pulling = ledger.pull(&a, APP, false).unwrap();
    assert_eq!(ledger.make(&b, &names(&[APP])).unwrap_err()[0].1, Taken::InTheMaking);
    drop(pulling);
    let making = ledger.make(&b, &names(&[APP])).unwrap();
    assert_eq!(ledger.pull(&a, APP, false).unwrap_err(), Taken::InTheMaking);
    assert!(ledger.pull(&b, APP, false).is_ok());
    drop(making);
    assert!(ledger.pull(&a, APP, false).is_ok());
}

#[test]
fn what_one_alone_pulled_is_its_own_until_another_does() {
    let (ledger, a, b) = ledger();
    pull(&ledger, &a, false);
    assert!(ledger.removable(&a, APP).is_ok() && ledger.make(&a, &names(&[APP])).is_ok());
    assert!(ledger.removable(&b, APP).is_err() && ledger.make(&b, &names(&[APP])).is_err());
    pull(&ledger, &b, true);
    assert!(ledger.removable(&a, APP).is_err() && ledger.make(&a, &names(&[APP])).is_err());
}

#[test]
fn what_was_there_before_is_nobodys() {
    let (ledger, a, _) = ledger();
    pull(&ledger, &a, true);
    assert_eq!(ledger.removable(&a, APP), Err(Taken::Shared));
    assert!(ledger.make(&a, &names(&[APP])).is_err());
    assert_eq!(ledger.removable(&a, "docker.io/library/host:1"), Err(Taken::Shared));
}

#[test]
fn what_an_ended_owner_made_is_used_by_nobody_and_made_anew_by_anybody() {
    let (ledger, a, b) = ledger();
    make(&ledger, &a);
    ledger.forget(&a);
    assert_eq!((ledger.standing(&a, APP), ledger.standing(&b, APP)), (Standing::Foreign, Standing::Foreign));
    assert!(ledger.removable(&b, APP).is_err());
    make(&ledger, &b);
    assert_eq!(ledger.standing(&b, APP), Standing::Own);
}

#[test]
fn what_an_ended_owner_pulled_alone_is_pulled_alone_by_the_next() {
    let (ledger, a, b) = ledger();
    pull(&ledger, &a, false);
    ledger.forget(&a);
    assert_eq!(ledger.standing(&b, APP), Standing::Pulled);
    assert!(ledger.removable(&b, APP).is_err());
    pull(&ledger, &b, true);
    assert!(ledger.removable(&b, APP).is_ok() && ledger.make(&b, &names(&[APP])).is_ok());
}

#[test]
fn names_that_are_gone_are_forgotten_but_not_those_that_came_meanwhile() {
    let (ledger, a, b) = ledger();
    make(&ledger, &a);
    let mark = ledger.mark();
    ledger.make(&a, &names(&["late"])).unwrap().made();
    let _making = ledger.make(&a, &names(&["now"])).unwrap();
    ledger.sweep(mark, |_| false);
    let seen = [APP, "late", "now"].map(|name| ledger.standing(&b, name));
    assert_eq!(seen, [Standing::Unknown, Standing::Foreign, Standing::Foreign]);
}

#[test]
fn one_owner_does_not_fill_it() {
    let (ledger, a, b) = ledger();
    let many: Vec<String> = (0..MOST_OF_ONE).map(|number| number.to_string()).collect();
    ledger.make(&a, &many).unwrap().made();
    assert_eq!(ledger.make(&a, &names(&[APP])).unwrap_err()[0].1, Taken::Full);
    assert_eq!(ledger.pull(&a, APP, false).unwrap_err(), Taken::Full);
    assert!(ledger.make(&b, &names(&[APP])).is_ok());
}

#[test]
fn a_ledger_outlives_its_process_with_what_was_being_made() {
    let (_, a, b) = ledger();
    let place = tempfile::tempdir().unwrap();
    // Whoever writes behind its back may hold it a moment longer.
    let open = || Ledger::open(&place.path().join("state"), Duration::from_secs(60)).unwrap();
    let first = open();
    make(&first, &a);
    first.pull(&b, "pulled", false).unwrap().pulled();
    let mut making = first.make(&a, &names(&["half"])).unwrap();
    first.save().unwrap();
    assert!(matches!(Ledger::open(&place.path().join("state"), Duration::ZERO), Err(LedgerError::InUse(_))));
    // As in a crash: nothing is said of what becomes of it.
    making.names.clear();
    drop(making);
    drop(first);
    let text = std::fs::read_to_string(place.path().join("state/images.json")).unwrap();
    assert!(!text.contains("new"), "{text}");
    let second = open();
    let seen = [APP, "pulled", "half"].map(|name| second.standing(&b, name));
    assert_eq!(seen, [Standing::Foreign, Standing::PulledByIt, Standing::Foreign]);
}

#[test]
fn what_changes_is_written_without_being_asked_for() {
    let (_, a, b) = ledger();
    let place = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(place.path(), Duration::ZERO).unwrap();
    make(&ledger, &a);
    ledger.forget(&a);
    let begun = std::time::Instant::now();
    while !std::fs::read_to_string(place.path().join("images.json")).unwrap_or_default().contains("\"left\"") {
        assert!(begun.elapsed() < Duration::from_secs(60), "it was never written");
        std::thread::yield_now();
    }
    assert_eq!(ledger.standing(&b, APP), Standing::Foreign);
}

#[test]
fn a_broken_ledger_is_not_taken_for_an_empty_one() {
    let place = tempfile::tempdir().unwrap();
    for text in ["", "{}", "{\"version\":2,\"names\":{}}", "{\"version\":1,\"names\":{\"a\":{\"made\":1}}}"] {
        std::fs::write(place.path().join("images.json"), text).unwrap();
        // A process that another test begins has the last one's lock for a moment.
        let opened = Ledger::open(place.path(), Duration::from_secs(60));
        assert!(matches!(opened, Err(LedgerError::Broken(..))), "{text}");
    }
}

#[test]
fn what_a_build_is_made_of_is_made_by_nobody_else_until_it_has_ended() {
    let (ledger, a, b) = ledger();
    make(&ledger, &a);
    let building = ledger.begin_build(&a, "build", Kept::FromOthers);
    // A call that says it is the same, and which the engine refuses.
    drop(ledger.begin_build(&a, "build", Kept::FromOthers));
    assert!(ledger.build_on(&a, "build", APP));
    ledger.removed(&names(&[APP]));
    assert_eq!(ledger.make(&b, &names(&[APP])).unwrap_err(), [(APP.to_owned(), Taken::InUse)]);
    assert!(ledger.make(&a, &names(&[APP])).is_ok());
    drop(building);
    assert!(ledger.make(&b, &names(&[APP])).is_ok());
}

#[test]
fn a_name_is_kept_for_a_build_of_its_owner_that_runs_only() {
    let (ledger, a, b) = ledger();
    assert!(!ledger.build_on(&a, "build", APP), "no such build");
    let _building = ledger.begin_build(&a, "build", Kept::FromOthers);
    assert!(!ledger.build_on(&b, "build", APP), "another's build");
    let making = ledger.make(&b, &names(&[APP])).unwrap();
    assert!(!ledger.build_on(&a, "build", APP), "another makes it just now");
    drop(making);
    assert!(ledger.build_on(&a, "build", APP));
}

#[test]
fn what_a_classic_build_is_made_of_is_not_made_by_its_owner_either() {
    let (ledger, a, _) = ledger();
    let kept = || Kept::FromAll([APP.to_owned()].into());
    let own = ledger.make(&a, &names(&[APP])).unwrap();
    let building = ledger.begin_build(&a, "build", kept());
    assert!(ledger.build_on(&a, "build", APP), "it is made of the name that it gives");
    assert_eq!(ledger.make(&a, &names(&[APP])).unwrap_err(), [(APP.to_owned(), Taken::InUse)]);
    own.made();
    drop(building);
    let (first, second) = (ledger.make(&a, &names(&[APP])).unwrap(), ledger.make(&a, &names(&[APP])).unwrap());
    let _building = ledger.begin_build(&a, "build", kept());
    assert!(!ledger.build_on(&a, "build", APP), "another request of its owner is giving that name");
    drop(second);
    assert!(ledger.build_on(&a, "build", APP));
    drop(first);
}
