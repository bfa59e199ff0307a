/** Requests to the server the page came from. */

async function answer(response) {
  if (response.ok) {
    return response;
  }
  let text = `${response.status} ${response.statusText}`;
  try {
    text = (await response.json()).error || text;
  } catch {
    // Not from the server itself, e.g. from a proxy: the status has to do.
  }
  const error = new Error(text);
  error.status = response.status;
  throw error;
}

function address(path, params) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== null && value !== undefined) {
      query.set(key, value);
    }
  }
  const text = query.toString();
  return `/api/${path}${text ? `?${text}` : ''}`;
}

/** JSON at a path below /api. Throws an Error with the server's own words and `status`. */
export async function get(path, params = {}, { signal } = {}) {
  return (await answer(await fetch(address(path, params), { signal }))).json();
}

/** As `get`, the bytes. */
export async function bytes(path, params = {}, { signal } = {}) {
  return (await answer(await fetch(address(path, params), { signal }))).arrayBuffer();
}

/** Sends JSON; resolves to the JSON answered, or null where the answer is empty. */
export async function post(path, body, { signal } = {}) {
  const response = await answer(
    await fetch(address(path, {}), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Gradflow': 'page' },
      body: JSON.stringify(body),
      signal,
    }),
  );
  return response.status === 204 ? null : response.json();
}
