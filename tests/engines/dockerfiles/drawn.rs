//! Dockerfiles of a number: one instruction that fetches, and what chance puts before, into and after it.

use super::super::differential::random::Random;

/// Build arguments of each
pub const ARGUMENTS: &[(&str, &str)] = &[("G", "b"), ("S", "http://HOST/c"), ("HTTP_PROXY", "c"), ("ALL_PROXY", "c")];

/// A text; `HOST` is the service
pub fn text(number: u64) -> String {
    let mut random = Random::of(11, number, 0);
    let mut text = String::new();
    while random.chance(1, 4) {
        text += random.pick(TOP);
    }
    if random.chance(1, 2) {
        text += random.pick(ARGS);
    }
    let target = random.pick(TARGETS);
    let from = target.starts_with("FROM");
    if !from || random.chance(1, 4) {
        text += random.pick(FIRST);
    }
    while random.chance(1, 4) {
        text += random.pick(BETWEEN);
    }
    let mut target = target.to_owned();
    if random.chance(1, 5) {
        target = target.replacen("ADD", "ONBUILD ADD", 1).replacen("COPY", "ONBUILD COPY", 1);
    }
    let fires = target.starts_with("ONBUILD");
    while random.chance(1, 2) {
        let places: Vec<usize> = target.char_indices().map(|(at, _)| at).chain([target.len()]).collect();
        let at = random.pick(&places);
        match random.below(8) {
            0 if at < target.len() => drop(target.remove(at)),
            1 => target.make_ascii_lowercase(),
            _ => target.insert_str(at, random.pick(PIECES)),
        }
    }
    text + &target + if fires { "\nFROM x" } else { "" } + random.pick(END)
}

const TOP: &[&str] = &[
    "# escape=`\n",
    "#Escape = \\ \n",
    "# syntax=x\n",
    "# check=skip=all\n",
    "# comment\n",
    "#\u{a0}escape=`\n",
    " # escape=`\r\n",
    "\n",
    "\u{feff}",
];

const ARGS: &[&str] = &[
    "ARG A=a\n",
    "ARG A='a' B=\"$A\"\n",
    "ARG A\nARG G=a\n",
    "ARG A=a\\\n  B=b\n",
    "ARG S H=HOST\n",
    "ARG A=`a B=\\b\n",
    "ARG G\nARG A=${G:-a}${N:-}${G:+}\n",
    "ARG A=a=b B='x y'\n",
    "ARG ${G}=c b=a\n",
];

const FIRST: &[&str] = &[
    "FROM scratch AS x\nCOPY file /\n",
    "FROM scratch as X\nADD file /\nLABEL a=b \\\n# c\n\n c=d\n",
    "FROM scratch AS x\nCOPY file /\nENV A=a S=http://HOST/c H=HOST\nARG G\n",
    "FROM scratch AS a\nCOPY file /\nFROM a AS x\n",
];

const BETWEEN: &[&str] = &[
    "LABEL a=b\\\n",
    "LABEL a=b`\n",
    "LABEL a=b\\\\\n",
    "LABEL a=b \\ \t\n",
    "LABEL a=b``\n",
    "# x \\\n",
    "\t# ADD http://HOST/b /x\n",
    "\\\n",
    "`\n",
    "\r\n",
    "LABEL a=\"b\\\n",
    "CMD a <<E\n",
];

const TARGETS: &[&str] = &[
    "ADD http://HOST/a /x",
    "ADD http://HOST/a /x",
    "ADD file http://HOST/a /x/",
    "ADD [\"http://HOST/a\", \"/x\"]",
    "ADD \"http://HOST/a\" '/x'",
    "ADD --chown=0:0 http://HOST/a /x",
    "ADD ${S} /x",
    "ADD http://${H}/a /x",
    "ADD h${N}ttp://HOST/a /x",
    "ADD ./$A http://HOST/a /x/",
    "FROM HOST/a",
    "FROM HOST/$A",
    "FROM HOST/${G:-a}",
    "FROM HOST/${A-b}${B:+b}",
    "FROM HOST/a${HTTP_PROXY}${ALL_PROXY}",
    "FROM --platform=linux/amd64 HOST/a AS y",
    "FROM \"HOST\"/'a'",
    "COPY --from=HOST/a /x /y",
    "COPY --chown=0 --from=\"HOST/a\" /x /y",
    "COPY --from=x --chown=0 file /y",
];

const PIECES: &[&str] = &[
    "\\",
    "`",
    "\"",
    "'",
    "\"\"",
    "''",
    "\\\n",
    "`\n",
    "\\\n# c\n",
    "\\ \n\n",
    "`\t\n",
    " ",
    "\t",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{85}",
    "\r",
    "\r\n",
    "\u{b}",
    "\n",
    "$",
    "${",
    "}",
    "$A",
    "${N}",
    "${N:-}",
    "${N:-h}",
    "${G}",
    "$1",
    "[",
    "]",
    ",",
    "#",
    "--",
    "-- ",
    "--from=",
    "--x ",
    "<<E ",
    "\\\\",
    "http://HOST/b ",
    "\u{0}",
    "\u{e0}",
    "\u{130}",
    "\\u0068",
    "%61",
    "/",
];

const END: &[&str] = &["", "\n", "\r\n", "\\\n", "\nADD http://HOST/b /z\n", "\n# x", "\nE\n"];
