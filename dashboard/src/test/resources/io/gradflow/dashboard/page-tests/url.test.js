import { equal } from './check.js';
import { format, parse } from '/page/url.js';
import { DEFAULTS } from '/page/view.js';

/** What of the state goes into the address. */
function addressed({ hover, hoverLayer, ...rest }) {
  return rest;
}

function sorted(state) {
  return Object.entries(state).sort(([a], [b]) => (a < b ? -1 : 1));
}

export function aLinkRestoresWhatItsSenderSaw() {
  const state = {
    ...DEFAULTS,
    run: 'a&b=c#d %20 <img src=x> 🔥\n',
    stream: 'generator',
    run2: 'a',
    to: 1000,
    to2: 500,
    span: 250,
    cursor: 990,
    layer: "it's.\u202eweight",
    rank: 7,
    incident: 'abc',
    mode: 'deviation',
    folded: ['a', 'b&fold=c'],
    filter: 'attn',
    theme: 'dark',
  };
  equal(sorted(parse(format(state))), sorted(addressed(state)));
}

export function defaultsAreNotInTheAddress() {
  equal(format({ ...DEFAULTS }), '');
  equal(sorted(parse('')), sorted(addressed(DEFAULTS)));
  equal(sorted(parse('#')), sorted(addressed(DEFAULTS)));
}

export function nonsenseIsIgnored() {
  const state = parse(
    `#to=-5&span=abc&cursor=1e3&rank=99999999999&mode=both&theme=pink&run=${'x'.repeat(501)}&stream=&__proto__=1&hover=4&unknown=1&%E0%A4%A`,
  );
  equal(sorted(state), sorted(addressed(DEFAULTS)));
}

export function spansAreBounded() {
  equal(parse('#span=1').span, DEFAULTS.span);
  equal(parse('#span=99999999999').span, DEFAULTS.span);
  equal(parse('#span=10000').span, 10000);
  equal(parse('#span=2500000').span, 2500000, 'a run of which one step in so many is published');
}

export function theStateOfPointersIsNotInTheAddress() {
  equal(format({ ...DEFAULTS, hover: 5, hoverLayer: 'x' }), '');
}
