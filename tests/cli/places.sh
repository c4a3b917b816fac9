# Paths of every kind, permissions, locale and time zone: the bytes are the same, and errors name the place.
mini=data/miniature
plain() { galatea --quiet convert $mini/base-hf "$1" --to safetensors >/dev/null; }
sum() { sha256sum <"$1/model.safetensors" | cut -c1-16; }
plain usual
reference=$(sum usual)
same() { [ "$(sum "$1")" = "$reference" ] && echo "$2: the same bytes"; }

odd=$'not \xff\xfe UTF-8,\n a line break and \e[31mred'
plain "$odd" && same "$odd" "an odd name"
galatea --quiet inspect "$odd" >/dev/null 2>&1 && echo "and it is read"
galatea --quiet inspect "$odd/nothing" 2>&1 | grep -c $'\e' || echo "no control character of a name is printed"
galatea --quiet --json inspect "$odd/nothing" 2>/dev/null | json /error/exit_code

long=.
for _ in $(seq 15); do long=$long/$(printf 'x%.0s' $(seq 200)); done
mkdir -p "$long" && plain "$long/o" && same "$long/o" "a path of 3,000 bytes"
(try galatea --quiet convert $mini/base-hf "$(printf 'y%.0s' $(seq 300))" --to safetensors) 2>&1 | cut -c1-70

mkdir links
ln -s "$PWD/$mini/base-hf" links/base
for file in $mini/base-hf/*; do ln -s "$PWD/$file" "links/$(basename "$file")"; done
galatea --quiet convert links/base from_link --to safetensors >/dev/null && same from_link "a folder behind a link"
rm links/base
galatea --quiet convert links from_links --to safetensors >/dev/null && same from_links "a folder of links"
mkdir elsewhere && ln -s elsewhere through
plain through/o && same elsewhere/o "an output behind a link"
ln -s missing dangling
try galatea --quiet inspect dangling
ln -s loop loop
try galatea --quiet inspect loop

(umask 077 && plain private && stat -c '%a %n' private private/model.safetensors private/galatea.json)
(umask 002 && plain shared && stat -c '%a %n' shared shared/model.safetensors shared/galatea.json)
(export LC_ALL=C.UTF-8 LANG=de_DE.UTF-8 TZ=Pacific/Kiritimati && plain locale) && same locale "another locale and time zone"
(unset HOME LC_ALL TERM PATH && plain bare) && same bare "no environment"
