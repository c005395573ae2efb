// Prints order-node-semver.txtar: pairs of versions as node-semver orders them.
// Run: node node-semver.js "$(npm root -g)/npm/node_modules/semver" > order-node-semver.txtar
const semver = require(process.argv[2])
let seed = 1
const random = n => (seed = (seed * 48271) % 2147483647) % n
const pick = list => list[random(list.length)]
const number = () => pick(['0', '1', '2', '9', '10', '11', '99', '100', '2147483648', '9007199254740991'])
const word = () => pick(['alpha', 'beta', 'rc', 'Rc', 'a', '0a', 'a0', '-', '--1', 'x-y', number(), number(), number()])
const version = () => {
  const core = [pick(['0', '1', '1', '2', '10']), pick(['0', '1', '9', '10']), number()].join('.')
  const words = Array.from({ length: random(4) }, word)
  return words.length ? core + '-' + words.join('.') : core
}
// Most pairs share much, or the first number would decide nearly all.
const near = v => {
  const [core, ...pre] = v.split('-')
  const parts = pre.join('-').split('.').filter(Boolean)
  if (random(3) === 0) parts.push(word())
  else if (parts.length && random(3) > 0) parts[random(parts.length)] = word()
  else parts.pop()
  const next = parts.length ? core + '-' + parts.join('.') : core
  return semver.valid(next) ? next : core
}
const rows = []
while (rows.length < 600) {
  const a = version()
  const b = random(4) === 0 ? version() : near(a)
  if (a.length > 128 || b.length > 128) continue
  rows.push(JSON.stringify([a, b, semver.compare(a, b)]))
}
console.log('expect: ok')
console.log('spec: R39')
console.log(`comment: pairs as node-semver ${require(process.argv[2] + '/package.json').version} orders them`)
console.log('-- order.json --')
console.log('[\n' + rows.join(',\n') + '\n]')
