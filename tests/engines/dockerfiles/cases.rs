//! Odd Dockerfiles; `HOST` is the service. What is fetched is named `a`, `b`, `c`.

/// One Dockerfile
pub struct Case {
    /// What it says
    pub text: &'static str,
    /// Build arguments
    pub arguments: &'static [(&'static str, &'static str)],
    /// How it is read
    pub listed: Listed,
    /// The engines that fetch something for it
    pub fetched_by: &'static [&'static str],
}

/// How a Dockerfile is read
pub enum Listed {
    /// As taking these
    Names(&'static [&'static str]),
    /// Not at all
    Refused,
}

const ALL: &[&str] = &["bookworm", "trixie", "sid"];
const NEWER: &[&str] = &["trixie", "sid"];
const NONE: &[&str] = &[];

const fn listed(text: &'static str, names: &'static [&'static str], fetched_by: &'static [&'static str]) -> Case {
    Case { text, arguments: &[], listed: Listed::Names(names), fetched_by }
}

const fn refused(text: &'static str, fetched_by: &'static [&'static str]) -> Case {
    Case { text, arguments: &[], listed: Listed::Refused, fetched_by }
}

const fn given(
    arguments: &'static [(&'static str, &'static str)],
    text: &'static str,
    names: &'static [&'static str],
    fetched_by: &'static [&'static str],
) -> Case {
    Case { text, arguments, listed: Listed::Names(names), fetched_by }
}

/// All of them
pub const CASES: &[Case] = &[
    // Instructions.
    listed("FROM scratch\nADD http://HOST/a /x\n", &["a"], ALL),
    listed("FROM scratch\nADD file http://HOST/a /x/\n", &["a"], ALL),
    listed("from scratch\naDd http://HOST/a /x", &["a"], ALL),
    listed("FROM HOST/a", &["a"], ALL),
    listed("FROM --platform=linux/amd64 HOST/a AS b", &["a"], ALL),
    listed("FROM scratch\nCOPY --from=HOST/a /x /y", &["a"], ALL),
    listed("FROM scratch\nCOPY --chown=0:0 --from=HOST/a /x /y", &["a"], ALL),
    listed("FROM scratch\nCOPY --fr\"om=HOST/\"a /x /y", &["a"], ALL),
    listed("FROM scratch\nCOPY -- --from=HOST/a /x /y/", &[], NONE),
    listed("FROM scratch\nCOPY http://HOST/a /y", &[], NONE),
    listed("FROM scratch\nADD file http://HOST/a", &[], NONE),
    listed("FROM scratch\nADD HTTP://HOST/a /y", &["a"], NONE),
    listed("FROM scratch\nADD git://HOST/a /y", &[], NONE),
    listed("FROM scratch\nADD file /x\nENV A=http://HOST/a\nLABEL B=http://HOST/b", &[], NONE),
    refused("FROM scratch\nONBU\u{130}LD ADD http://HOST/a /x\nADD http://HOST/b /x", ALL),
    // An instruction that nobody knows ends a build before it begins.
    listed("FROM HOST/a\nNONSENSE x", &["a"], NONE),
    listed("FROM scratch\nADD http://HOST/a /x\nADDD file /x", &["a"], NONE),
    listed("ARG A=a\nFROM HOST/$A\nCOPY file /x\n\nfroM scratch\nx <<E\nE\n", &["a"], NONE),
    // White space.
    listed("FROM scratch\n\u{a0}\t ADD\thttp://HOST/a\t/x \u{2003}\n", &["a"], ALL),
    listed("FROM scratch\nADD \u{a0}http://HOST/a /x", &["a"], ALL),
    refused("FROM scratch\nADD\u{a0}http://HOST/a /x", NONE),
    refused("FROM scratch\nADD\u{b}http://HOST/a /x", ALL),
    refused("FROM scratch\nADD \u{feff}http://HOST/a /x", ALL),
    listed("\u{feff}FROM scratch\r\nADD http://HOST/a \\\r\n/x\r\n", &["a"], ALL),
    refused("FROM scratch\nADD http://HOST/a /x\\\r\r\n/y", NEWER),
    // Where a line ends.
    listed("FROM scratch\nAD\\\nD ht\\\n# x\n\ntp://HOST/a \\ \t\n  /x", &["a"], ALL),
    listed("FROM scratch\n\\\n\\\nADD http://HOST/a /x", &["a"], ALL),
    listed("FROM scratch\nLABEL a=b\\\\\nADD http://HOST/a /x", &["a"], ALL),
    listed("FROM scratch\nLABEL a=b \\\nADD=http://HOST/a", &[], NONE),
    listed("FROM scratch\n# x \\\nADD http://HOST/a /x", &["a"], ALL),
    listed("FROM scratch\nLABEL a=b \\\n # y \\\n\nc=d\nADD http://HOST/a /x", &["a"], ALL),
    listed("FROM scratch\n  # ADD http://HOST/a /x\nADD file /x", &[], NONE),
    // Directives.
    listed("# escape=`\nFROM scratch\nLABEL a=b\\\nADD http://HOST/a /x", &["a"], ALL),
    listed("#escape = ` \nFROM scratch\nLABEL a=b `\nADD=http://HOST/a", &[], NONE),
    listed("# syntax=x\n# Escape=`\nFROM scratch\nLABEL a=b\\\nADD http://HOST/a /x", &["a"], ALL),
    listed("# x\n# escape=`\nFROM scratch\nLABEL a=b\\\nADD http://HOST/a /x", &[], NONE),
    listed("\n# escape=`\nFROM scratch\nLABEL a=b`\nADD http://HOST/a /x", &["a"], ALL),
    refused("# check=skip=all\n# escape=`\nFROM scratch\nLABEL a=b\\\nADD http://HOST/a /x", &["sid"]),
    refused("# check=skip=all\n# escape=`\nFROM scratch\nLABEL a=b`\nADD http://HOST/a /x", &["bookworm", "trixie"]),
    refused("#\u{a0}escape=`\nFROM scratch\nLABEL a=b`\nADD http://HOST/a /x", ALL),
    listed("# syntax=HOST/a\nFROM scratch\nADD file /x", &[], NONE),
    // Quotes, escapes and JSON.
    listed("FROM scratch\nADD \"http://HOST/a\" /x", &["a"], ALL),
    listed("FROM scratch\nADD ht''tp:\\//HOST/\"a\" /x", &["a"], ALL),
    listed("# escape=`\nFROM scratch\nADD h`ttp://HOST/a /x", &["a"], ALL),
    listed("FROM scratch\nADD [\"http://HOST/a\",\"/x\"]", &["a"], ALL),
    listed("FROM scratch\nADD [\t\"h\\u0074tp://HOST/a\" , \"/x\" ]", &["a"], ALL),
    listed("FROM scratch\nADD [\"'http://HOST/a'\", \"/x\"]", &["a"], ALL),
    refused("FROM scratch\nADD [\"http://HOST/a\", \"/x\"] y", &["bookworm", "trixie"]),
    refused("FROM scratch\nADD [\"http://HOST/a\", \"/\\ud800\"]", ALL),
    listed("FROM 'HOST/'\\a", &["a"], ALL),
    refused("FROM scratch\nCOPY --from=HOST\\/a /x /y", ALL),
    // Variables.
    refused("FROM scratch\nENV A=http://HOST/a\nADD $A /x", ALL),
    refused("FROM scratch\nARG A=http://HOST/a\nADD ${A} /x", ALL),
    refused("FROM scratch\nADD ${A:-http://HOST/a} /x", ALL),
    refused("FROM scratch\nENV A=ttp://HOST/a\nADD h$A /x", ALL),
    refused("FROM scratch\nARG V=a\nADD http://HOST/${V} /x", ALL),
    listed("FROM scratch\nARG V=http://HOST/a\nADD file$V /x", &[], NONE),
    listed("ARG A=HOST/a\nFROM $A", &["a"], ALL),
    given(&[("A", "c")], "ARG A=b\nARG B=HOST/$A\nFROM $B", &["c"], ALL),
    given(&[("A", "c")], "FROM HOST/a$A", &["a"], ALL),
    given(&[("A", "b")], "ARG A\nARG A=c\nFROM HOST/$A", &["b"], ALL),
    listed("ARG A=a B=$A\nFROM HOST/${B:-b}", &["b"], ALL),
    listed("ARG A='a'\nFROM HOST/${A:+b}", &["b"], ALL),
    listed("ARG A=\nFROM HOST/${A:-${B:-c}}", &["c"], ALL),
    listed("FROM HOST/${A-a}", &["a"], NEWER),
    refused("ARG A=xa\nFROM HOST/${A#x}", NEWER),
    refused("ARG A=a\nARG ${A:+B}=b\nFROM HOST/$B", ALL),
    refused("ARG \\B=b\nFROM HOST/$B", ALL),
    listed("FROM scratch AS x\nARG A=b\nFROM HOST/a$A", &["a"], ALL),
    Case { text: "FROM HOST/a$ALL_PROXY", arguments: &[("ALL_PROXY", "b")], listed: Listed::Refused, fetched_by: ALL },
    // Stages.
    listed("FROM scratch AS A\nADD file /x\nFROM a\nADD file /y\nCOPY --from=A /x /z\nCOPY --from=0 /x /v", &[], NONE),
    listed("FROM scratch\nADD file /x\nFROM scratch\nADD http://HOST/a /y", &["a"], ALL),
    listed("FROM scratch AS b\nADD file /x\nONBUILD ADD http://HOST/a /y\nFROM b", &["a"], ALL),
    listed("FROM scratch AS b\nADD file /x\nONBUILD   COPY --from=HOST/a /x /y\nFROM b", &["a"], ALL),
    listed("# escape=`\nFROM scratch AS b\nADD file /x\nONBUILD ADD h\\ttp://HOST/a /y\nFROM b", &["a"], NONE),
    listed("# escape=`\nFROM scratch AS b\nADD file /x\nONBUILD ADD h`ttp://HOST/a /y\nFROM b", &["a"], ALL),
    refused("FROM scratch AS b\nADD file /x\nONBUILD ADD $A /y\nFROM b\nADD http://HOST/a /y", ALL),
    // Here-documents.
    refused("FROM scratch\nCOPY <<E /x\nADD http://HOST/a /x\nE\n", NONE),
    refused("FROM scratch\nADD <<E file /x/\nADD http://HOST/a /x\nE\n", NONE),
];
