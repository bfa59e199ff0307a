/**
 * Runs every exported function of every *.test.js beside this file, one after the other, and leaves in window.checks
 * {done, results: [{file, name, error}]}; error is null for a check that holds. A file without checks is an error.
 */

const FILES = [
  'cells', 'curves', 'demo', 'histogram', 'incidents', 'painter', 'profile', 'ranks', 'rows', 'scale', 'statistics', 'store', 'url',
  'view', 'words',
];

/** Throws unless the two are the same, as JSON if they are objects; NaN is NaN. */
export function equal(actual, expected, what = '') {
  const same =
    typeof expected === 'object' && expected !== null
      ? JSON.stringify(actual) === JSON.stringify(expected)
      : Object.is(actual, expected);
  if (!same) {
    throw new Error(`${what ? `${what}: ` : ''}expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
  }
}

/** Throws unless the numbers differ by at most `tolerance`. */
export function near(actual, expected, tolerance, what = '') {
  if (!(Math.abs(actual - expected) <= tolerance)) {
    throw new Error(`${what ? `${what}: ` : ''}expected ${expected} ± ${tolerance}, got ${actual}`);
  }
}

/** Throws with the words unless the condition holds. */
export function holds(condition, what) {
  if (!condition) {
    throw new Error(what);
  }
}

/** Resolves once the condition holds; throws after ten seconds. */
export async function until(condition, what) {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) {
      throw new Error(`waited ten seconds for: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function run() {
  const results = [];
  window.checks = { done: false, results };
  for (const file of FILES) {
    let checks = [];
    try {
      checks = Object.entries(await import(`./${file}.test.js`));
      if (checks.length === 0) {
        throw new Error('the file has no checks');
      }
    } catch (error) {
      results.push({ file, name: 'loads', error: String(error.stack ?? error) });
    }
    for (const [name, check] of checks) {
      let error = null;
      try {
        await check();
      } catch (thrown) {
        error = String(thrown.stack ?? thrown);
      }
      results.push({ file, name, error });
    }
  }
  for (const { file, name, error } of results) {
    const item = document.createElement('li');
    item.textContent = `${error === null ? 'holds' : 'FAILS'}: ${file} ${name}${error === null ? '' : ` ${error}`}`;
    document.getElementById('results').append(item);
  }
  window.checks.done = true;
}

run();
