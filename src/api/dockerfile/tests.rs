//! What is listed, what is refused, and why; that engines agree is `tests/engines/build/dockerfiles.rs`.

use super::*;

/// What is taken, a line each, or why the text is refused
fn read(text: &str) -> String {
    with(text, &[])
}

fn with(text: &str, args: &[(&str, Option<&str>)]) -> String {
    let args = args.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
    told(sources(text.as_bytes(), &args, ""))
}

fn told(read: Result<Vec<Source>, BadDockerfile>) -> String {
    let told = |source: &Source| {
        let what = match &source.what {
            Taken::Image(image) => image.to_string(),
            Taken::Url(url) => url.clone(),
        };
        format!("{} {} {what}", source.line, source.instruction)
    };
    match read {
        Ok(sources) => sources.iter().map(told).collect::<Vec<_>>().join("\n"),
        Err(bad) => bad.to_string(),
    }
}

#[track_caller]
fn refused(text: &str, part: &str) {
    let said = read(text);
    assert!(said.starts_with("line ") && said.contains(part), "{text:?} gave {said:?}");
}

#[test]
fn everyday_dockerfiles_are_read() {
    let text = "# syntax=docker/dockerfile:1\nARG GO=1.22\nFROM --platform=$BUILDPLATFORM golang:${GO}-alpine AS Build\n\
                WORKDIR /src\nCOPY go.* ./\nRUN apk add --no-cache git \\\n    # why\n\n    && go mod download\n\
                ADD vendor.tar $TARGET/\nCOPY --chown=${UID}:${GID} . .\nENV A=b\n\n\
                from gcr.io/distroless/static\nCOPY --from=build --chmod=755 /src/app /app\n\
                COPY --from=alpine:3 /etc/passwd /etc/\nCOPY --from=0 /x /y\nENTRYPOINT [\"/app\"]\n";
    let taken = "3 FROM docker.io/library/golang:1.22-alpine\n14 FROM gcr.io/distroless/static:latest\n\
                 16 COPY --from docker.io/library/alpine:3";
    assert_eq!(read(text), taken);
    assert_eq!(read(&text.replace('\n', "\r\n")), taken);
    assert_eq!(read(&format!("\u{feff}{text}")), taken);
    assert_eq!(read("FROM scratch\nADD rootfs.tar /\n"), "");
    assert_eq!(read("FROM a"), "1 FROM docker.io/library/a:latest");
}

#[test]
fn lines_end_where_engines_end_them() {
    let add = "ADD http://h/x /y";
    for (text, line) in [
        (format!("FROM scratch\n\t {add}"), 2),
        ("FROM scratch\nADD \\\n\n  # comment\n\\\nhttp://h/x \\ \t\n /y".to_owned(), 2),
        ("FROM scratch\nA\\\nDD http://h/x /y".to_owned(), 2),
        ("FROM scratch\n\\\n\\\nADD ht\\\ntp://h/x /y".to_owned(), 2),
        (format!("FROM scratch\nRUN x \\\\\n{add}"), 3),
        (format!("FROM scratch\nRUN x \\\\\\\n{add}"), 3),
        (format!("FROM scratch\n# x \\\n{add}"), 3),
        (format!("FROM scratch\nRUN x \\\n# y \\\n\n{add}\n{add}"), 6),
        (format!("# escape=`\nFROM scratch\nRUN x \\\n{add}"), 4),
        (format!("#\tEscape = ` \nFROM scratch\nRUN x `\ny\n{add}"), 5),
        (format!("# SYNTAX=x\n# escape=`\nFROM scratch\nRUN x \\\n{add}"), 5),
        (format!("# a comment\n# escape=`\nFROM scratch\nRUN x \\\ny\n{add}"), 6),
        (format!("\n# escape=`\nFROM scratch\nRUN x \\\ny\n{add}"), 6),
        (format!("\u{a0}FROM scratch\n\u{2003}{add}\u{a0}"), 2),
    ] {
        assert_eq!(read(&text), format!("{line} ADD http://h/x"), "{text:?}");
    }
    assert_eq!(read(&format!("FROM scratch\nRUN x \\\n{add}")), "");
    assert_eq!(read(&format!("# escape=`\nFROM scratch\nRUN x `\n{add}")), "");
}

#[test]
fn what_engines_read_in_two_ways_is_refused() {
    for text in [
        "# check=x\n# escape=`\nFROM a",
        "# escape=`\n# escape=`\nFROM a",
        "# escape=x\nFROM a",
        "#\u{a0}escape=`\nFROM a",
    ] {
        refused(text, "directives");
    }
    for odd in ["\r", "\u{0}", "\u{b}", "\u{c}", "\u{85}", "\u{feff}", "\u{1b}"] {
        refused(&format!("FROM scratch\nADD x{odd}y /z"), "line 2: the character U+");
        refused(&format!("# x{odd}y\nFROM a"), "line 1: the character U+");
    }
    assert!(told(sources(b"FROM a\n\nRUN \xff", &BTreeMap::new(), "")).starts_with("line 3: it is not UTF-8"));
    for text in [
        "FROM a\nONBU\u{130}LD ADD http://h/x /y",
        "FROM a\nADD=x /",
        "FROM a\n\"x\"",
        "FROM\u{a0}a",
        "FROM a\nONBUILD ADDD x y",
        "FROM a\n\\",
    ] {
        refused(text, "is no instruction");
    }
    for text in
        ["RUN <<EOF", "COPY <<-\"E\" /x", "RUN cat 3<<EOF", "RUN echo $((1 << 3))", "ONBUILD RUN x <<E", "ADD \\<<E /x"]
    {
        refused(&format!("FROM a\n{text}"), "here-document");
    }
    assert_eq!(read("FROM scratch\nRUN cat <<< \"x\" && echo $((1<<3))"), "");
    for text in
        ["COPY --from=a\\ b x y", "COPY --chown=\u{e0}:b --from=a x y", "COPY --from=$X x y", "COPY --from=`x x y"]
    {
        refused(&format!("FROM a\n{text}"), "COPY: flag");
    }
    for text in ["ADD [\"http://h/x\", \"/y\"] z", "ADD [\"http://h/\\ud800\", \"/y\"]", "ADD [ \"a\", 1]"] {
        refused(&format!("FROM a\n{text}"), "ADD: its JSON form");
    }
}

#[test]
fn an_instruction_that_nobody_knows_is_left_to_the_engine_and_the_rest_is_read() {
    assert_eq!(read("nonsense"), "");
    assert_eq!(read("FROM a\nNONSENSE <<E\nADD http://h/x /y"), "1 FROM docker.io/library/a:latest\n3 ADD http://h/x");
}

#[test]
fn arguments_before_the_first_stage_are_put_in() {
    for (text, image) in [
        ("ARG A=x\nFROM $A", "x"),
        ("ARG A=x\nFROM ${A}/y:1", "x/y:1"),
        ("ARG A\nFROM ${A:-x}", "x"),
        ("ARG A=\nFROM ${A:-x}y${A-z}", "xy"),
        ("ARG A=1\nFROM x${A:+y}", "xy"),
        ("FROM x${A:+y}", "x"),
        ("ARG A=x B=$A\nARG C=$A\nFROM ${B:-b}$C", "bx"),
        ("ARG A=x\nARG A\nFROM ${A:-y}", "y"),
        ("ARG A='x'\nFROM \"$A\"y", "xy"),
        ("ARG A=x\\$y\nFROM ${B:-${C:-a}b}", "ab"),
        ("ARG A=a\nFROM scratch\nARG A=b\nFROM $A", "a"),
        ("FROM 'x'\\y", "xy"),
        ("# escape=`\nFROM x`y", "xy"),
    ] {
        let said = read(text);
        assert!(said.ends_with(&format!(" FROM docker.io/{}", full(image))), "{text:?} gave {said:?}");
    }
    let given = [("A", Some("g")), ("N", None), ("HTTP_PROXY", Some("p"))];
    assert_eq!(with("ARG A=x\nFROM $A", &given), "2 FROM docker.io/library/g:latest");
    assert_eq!(with("ARG N=x\nFROM $N", &given), "2 FROM docker.io/library/x:latest");
    assert_eq!(with("FROM x$A", &given), "1 FROM docker.io/library/x:latest");
    assert_eq!(with("ARG HTTP_PROXY\nFROM $HTTP_PROXY", &given), "2 FROM docker.io/library/p:latest");
    assert!(with("FROM x$HTTP_PROXY", &given).contains("declare it"));
    assert_eq!(read("FROM x$HTTP_PROXY"), "1 FROM docker.io/library/x:latest");
}

fn full(image: &str) -> String {
    let library = if image.contains('/') { "" } else { "library/" };
    let tag = if image.contains(':') { "" } else { ":latest" };
    format!("{library}{image}{tag}")
}

#[test]
fn what_is_not_expanded_exactly_is_refused() {
    for word in
        ["${A#x}", "${A%x}", "${A/x/y}", "$1", "$@", "x$", "${-x}", "${}", "$\u{e0}", "${A:?x}", "${A?x}", "$a\u{e0}"]
    {
        refused(&format!("ARG A=x\nFROM {word}"), "in a form");
    }
    for word in ["\"x", "'x", "${A", "${A:-x", "x\\", "${A:-\"}"] {
        refused(&format!("ARG A=x\nFROM {word} as b"), "has no end");
    }
    for text in ["ARG $A=x", "ARG A\"B\"=x", "ARG =x", "ARG \u{130}=x"] {
        refused(&format!("{text}\nFROM a"), "plain name");
    }
    refused(&format!("ARG A={}\nARG B=$A$A\nFROM $B", "x".repeat(4000)), "4096 bytes");
    refused(&format!("FROM {}x{}", "${A:-".repeat(9), "}".repeat(9)), "deeper than 8");
    refused(&"FROM scratch\n".repeat(1025), "more than 1024");
    refused(&format!("FROM scratch\n{}", "ADD http://h/x /y\n".repeat(1025)), "more than 1024");
    refused("FROM a b", "takes an image");
    refused("FROM a a\u{17f} b", "takes an image");
    refused("FROM", "takes an image");
    refused("FROM $A", "takes an image");
    refused("FROM a as 1", "name of a stage");
    refused("FROM a as \u{212a}", "name of a stage");
    refused("FROM A", "image reference");
}

#[test]
fn a_stage_is_one_once_it_is_done() {
    assert_eq!(read("FROM scratch AS b\nCOPY --from=b x y"), "2 COPY --from docker.io/library/b:latest");
    assert_eq!(read("FROM scratch\nCOPY --from=b x y\nFROM scratch AS b"), "2 COPY --from docker.io/library/b:latest");
    assert_eq!(read("FROM scratch AS b\nFROM B\nCOPY --from=B x y"), "");
    assert_eq!(read("FROM scratch\nCOPY --from=7 x y\nCOPY --from= x y"), "");
    assert_eq!(read("FROM 0"), "1 FROM docker.io/library/0:latest");
    assert_eq!(read("FROM scratch\nCOPY --from=scratch x y"), "2 COPY --from docker.io/library/scratch:latest");
    assert_eq!(read("FROM scratch\nCOPY --from=99999999999 x y"), "2 COPY --from docker.io/library/99999999999:latest");
    refused("FROM scratch\nCOPY --from=-1 x y", "image reference");
    assert_eq!(read("FROM scratch\nCOPY -- --from=a x y"), "");
    assert_eq!(read("FROM scratch\nCOPY \"--from=a\" x y"), "");
    assert_eq!(read("FROM scratch\nCOPY --fr\"om=\"a x y"), "2 COPY --from docker.io/library/a:latest");
    assert_eq!(read("FROM scratch\nCOPY --from=a --from=b:1 x y").lines().count(), 2);
    assert_eq!(read("FROM scratch\nCOPY --FROM=a x y"), "");
}

#[test]
fn an_address_is_found_through_quotes_and_escapes() {
    for word in ["http://h/x", "\"http://h/x\"", "ht\"\"tp://h/x", "\\http://h/x", "'http:'//h/x"] {
        assert_eq!(read(&format!("FROM scratch\nADD a {word} /y")), "2 ADD http://h/x", "{word}");
    }
    assert_eq!(read("FROM scratch\nADD [\"a b\", \"h\\u0074tp://h/x\", \"/y\"]"), "2 ADD http://h/x");
    assert_eq!(read("FROM scratch\nADD [ \"\\\"http://h/x\\\"\", \"/y\"]"), "2 ADD http://h/x");
    assert_eq!(read("FROM scratch\nADD --checksum=sha256:1 https://h/x\thttp://h/y.git /z").lines().count(), 2);
    assert_eq!(read("FROM scratch\nadd HTTP://h/x /y"), "2 ADD HTTP://h/x");
    assert_eq!(read("FROM scratch\nCOPY http://h/x /y"), "");
    assert_eq!(read("FROM scratch\nADD x http://h/y"), "");
    assert_eq!(read("FROM scratch\nADD [a-c]*.txt /y"), "");
    assert_eq!(read("FROM scratch\nADD target/$JAR ./$X x${Y:-z} /y"), "");
}

#[test]
fn an_address_that_a_base_image_may_set_is_refused() {
    for word in ["$X", "${X:-a}", "h$X", "\"$X\"", "HTT${X}", "https:$X", "https:/$X"] {
        refused(&format!("FROM a\nENV X=b\nADD {word} /y"), "copy files of the context with COPY");
    }
    refused("FROM a\nADD https://h/$X /y", "line 2: ADD: what `https://h/$X` fetches");
}

#[test]
fn triggers_count_like_instructions() {
    assert_eq!(read("FROM scratch AS b\nonbuild  ADD http://h/x /y"), "2 ONBUILD ADD http://h/x");
    assert_eq!(
        read("FROM scratch AS b\nFROM b\nONBUILD COPY --from=b x y"),
        "3 ONBUILD COPY --from docker.io/library/b:latest"
    );
    // It may fire for a text with either escape character.
    assert_eq!(read("# escape=`\nFROM scratch\nONBUILD ADD h\\ttp://h/x /y"), "3 ONBUILD ADD http://h/x");
    let either = "2 ONBUILD ADD http://h/`x\n2 ONBUILD ADD http://h/x";
    assert_eq!(read("FROM scratch\nONBUILD ADD http://h/`x /y"), either);
    assert_eq!(read("FROM scratch\nONBUILD RUN x"), "");
    for (text, part) in [
        ("ONBUILD FROM a", "trigger"),
        ("ONBUILD ONBUILD RUN x", "trigger"),
        ("ONBUILD", "one instruction"),
        ("ONBUILD # x", "one instruction"),
    ] {
        refused(&format!("FROM a\n{text}"), part);
    }
    refused("FROM a\nONBUILD ADD $X /y", "line 2: ONBUILD ADD: ");
    let of = |lines: &[&str]| told(triggers(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()));
    assert_eq!(
        of(&["RUN x", "ADD http://h/x /y", "COPY --from=c x y", "COPY --from=0 x y"]),
        "2 ONBUILD ADD http://h/x\n3 ONBUILD COPY --from docker.io/library/c:latest"
    );
    assert_eq!(of(&["# escape=`\nADD h`ttp:`\n//h/x /y"]), "1 ONBUILD ADD http://h/x");
    assert_eq!(of(&["RUN x", "ADD a\nADD b"]), "line 2: ONBUILD: a trigger is one instruction");
    assert_eq!(of(&[]), "");
}

#[test]
fn a_refusal_is_one_line_with_the_place_and_the_way_out() {
    let said = read("FROM a\n\nADD \\\n https://h/$V /y\n");
    let expected =
        "line 3: ADD: what `https://h/$V` fetches is up to a variable that the base image may set; write it out";
    assert_eq!(said, expected);
    let said = read(&format!("FROM a\nJUNK{}\u{301} y", "x".repeat(200)));
    assert!(said.len() < 200 && said.ends_with("…` is no instruction"), "{said}");
}

#[test]
fn the_platform_of_a_base_is_read_with_its_arguments() {
    let text = "ARG P=linux/arm64\nFROM --platform=$P a\nFROM --platform=linux/amd64 b\nFROM c\n";
    let read = sources(text.as_bytes(), &BTreeMap::new(), "").unwrap();
    let platforms: Vec<Option<&str>> = read.iter().map(|source| source.platform.as_deref()).collect();
    assert_eq!(platforms, [Some("linux/arm64"), Some("linux/amd64"), None]);
}

#[test]
fn what_comes_after_the_target_is_listed_and_not_built() {
    let text = "FROM a AS One\nADD http://h/a /\nFROM b AS two\nADD http://h/b /\nFROM c AS one\nCOPY --from=d / /\n";
    for (target, built) in [("", 6), ("ONE", 2), ("two", 4), ("none", 6), ("2", 6), ("\u{17f}", 6)] {
        let read = sources(text.as_bytes(), &BTreeMap::new(), target).unwrap();
        assert_eq!((read.len(), read.iter().filter(|source| source.is_built).count()), (6, built), "{target}");
    }
}
