export function mountHeader(root) {
  root.textContent = 'gradflow';
}
