//! Values read alone: what is taken, and the near misses that are not.

use super::*;

type Minute = Time<100, 60_000>;
type Kilo = Size<10, 1024>;

#[test]
fn sizes_and_times_need_a_unit_and_stay_in_their_bounds() {
    assert_eq!(Kilo::read("1KiB"), Some(Size(1024)));
    assert_eq!(Minute::read("100ms"), Some(Time(Duration::from_millis(100))));
    assert_eq!(Minute::read("1m"), Some(Time(Duration::from_secs(60))));
    for text in ["", "20", "1 KiB", "1kib", "1K", "1.5KiB", "-1KiB", "+1KiB", "KiB", "9B", "1025B", "2KiB"] {
        assert_eq!(Kilo::read(text), None, "{text}");
    }
    for text in ["99ms", "61s", "2m", "30", "1m30s", "99999999999999999999s", "18446744073709551615d"] {
        assert_eq!(Minute::read(text), None, "{text}");
    }
    assert_eq!(Minute::expected(), "a time in ms, s, m, h or d, from 100ms to 1m");
    assert_eq!(Size::<0, 1536>::expected(), "a size in B, KiB, MiB or GiB, from 0 to 1536B");
}

#[test]
fn off_is_empty_or_a_zero_of_any_unit() {
    for text in ["", "0s", "0h", "0MiB"] {
        assert_eq!(OrOff::<Kilo>::read(text), Some(OrOff(None)), "{text}");
    }
    assert_eq!(OrOff::<Kilo>::number(0), Some(OrOff(None)));
    assert_eq!(OrOff::<Kilo>::read("1KiB"), Some(OrOff(Some(Size(1024)))));
    assert_eq!(OrOff::<Kilo>::read("off"), None);
    assert_eq!(OrOff::<Kilo>::number(1), None);
}

#[test]
fn a_host_path_is_one_spelling_of_a_file() {
    assert_eq!(HostPath::read("/srv/a/docker.sock"), HostPath::parse("/srv/a/docker.sock"));
    for text in ["", "docker.sock", "./a", "/srv/", "/srv/../a", "//srv/a", "/srv/a:b", "/srv/a\n"] {
        assert_eq!(HostPath::read(text), None, "{text}");
    }
}

#[test]
fn a_mode_is_octal_permission_bits_and_nothing_more() {
    assert_eq!(Mode::read("0660"), Some(Mode(0o660)));
    assert_eq!(Mode::read("600"), Some(Mode(0o600)));
    for text in ["", "0", "66", "0668", "1777", "4755", "00660", "0o660", "+660", "rw-"] {
        assert_eq!(Mode::read(text), None, "{text}");
    }
    assert_eq!(Mode::number(660), None);
}

#[test]
fn a_group_is_a_name_or_a_number_that_is_somebodys() {
    assert_eq!(Group::read("docker"), Some(Group::Name("docker".into())));
    assert_eq!(Group::read("999"), Some(Group::Id(Gid::from_raw(999))));
    assert_eq!(Group::number(999), Some(Group::Id(Gid::from_raw(999))));
    for text in ["", "4294967295", "99999999999", "a:b", "a\nb"] {
        assert_eq!(Group::read(text), None, "{text}");
    }
    assert_eq!(Group::number(-1), None);
}

#[test]
fn an_engine_is_an_absolute_unix_socket() {
    assert_eq!(Engine::read("unix:///run/d.sock"), Some(Engine("/run/d.sock".into())));
    for text in
        ["", "/run/d.sock", "unix://", "unix:///", "unix://d.sock", "tcp://h:1", "npipe:////./p", "unix:///a\0b"]
    {
        assert_eq!(Engine::read(text), None, "{text}");
    }
}
