// Prints what node-semver makes of generated ranges, one JSON array a line:
// [range, null when it is none, or the versions that it holds, the same with
// includePrerelease, the versions that were tried].
// Run: node node-semver.js PATH-OF-SEMVER COUNT SEED
const semver = require(process.argv[2])
const count = +process.argv[3]
let seed = +process.argv[4] || 1
const random = n => (seed = (seed * 48271) % 2147483647) % n
const pick = list => list[random(list.length)]
const often = (n, f, otherwise = () => '') => random(n) ? otherwise() : f()

const number = () => pick(['0', '1', '1', '2', '2', '3', '4', '10'])
const oddNumber = () => pick(['07', '00', '9007199254740991', '9007199254740992', '99999999999999999999999', '-1', ''])
const part = () => pick([number, number, number, number, () => pick(['x', 'X', '*']), () => often(4, oddNumber, number)])()
const word = () => pick(['alpha', 'beta', 'rc', '0', '1', '2', 'a-b', '-', 'v', 'x', '01a', often(6, () => pick(['01', '', '_', '*', 'é']), () => 'rc')])
const pre = () => '-' + Array.from({ length: 1 + random(3) }, word).join('.')
const build = () => '+' + Array.from({ length: 1 + random(2) }, word).join('.')
const partial = () => {
  const parts = Array.from({ length: pick([1, 2, 3, 3, 3, 3, often(8, () => 4, () => 3)]) }, part)
  return often(6, () => pick(['v', '=', 'v ', '= ', 'vv', '=v', '= v', '=='])) + parts.join('.') +
    (parts.length === 3 || !random(12) ? often(3, pre) : '') + often(10, build)
}
const space = () => pick(['', '', '', ' ', ' ', '  ', '\t', '\u00a0', '\ufeff'])
const operator = () => pick(['', '', '', '<', '>', '<=', '>=', '=', '^', '^', '~', '~', '~>', often(4, () => pick(['=>', '><', '==', '>==', '~>=', '^=', '~ >', '> =', '*>', '<*', '!'])) || ''])
const comparator = () => operator() + space() + partial()
const set = () => pick([
  () => Array.from({ length: pick([1, 1, 1, 2, 2, 3]) }, comparator).join(' ' + space()),
  () => partial() + space() + pick([' - ', ' - ', ' - ', '-', ' -']) + space() + partial(),
  () => pick(['', '*', 'x', '>=0.0.0', '>=0.0.0-0', '<0.0.0-0', '**', '*1.2.3', '1.2.3*', 'latest']),
])()
const garble = s => {
  const at = random(s.length + 1)
  return pick([
    () => s.slice(0, at) + pick([...'0123456789.xX*v=<>~^|-+ a\t']) + s.slice(at),
    () => s.slice(0, at) + s.slice(at + 1),
    () => s.slice(0, at) + s.slice(random(s.length + 1)),
  ])()
}
const range = () => {
  const r = space() + Array.from({ length: pick([1, 1, 1, 2, 2, 3]) }, set).join(space() + '||' + space()) + space()
  return often(4, () => garble(r), () => r)
}
const version = () => [number(), number(), number()].join('.') + often(2, () => '-' + Array.from({ length: 1 + random(2) }, () => pick(['alpha', 'beta', 'rc', '0', '1', '2', 'a-b', '-', 'v', 'x', '01a'])).join('.'))
// The versions that decide are those beside the numbers that the range names.
const near = r => (r.match(/\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?/g) || []).filter(v => semver.valid(v) === v && v.length <= 128)

for (let i = 0; i < count; i++) {
  const r = range()
  const versions = [...new Set([...Array.from({ length: 12 }, version), ...near(r), '0.0.0', '0.0.0-0', '2.0.0-0'])]
  const held = options => semver.validRange(r, options) === null ? null : versions.filter(v => semver.satisfies(v, r, options))
  console.log(JSON.stringify([r, held(), held({ includePrerelease: true }), versions]))
}
