export function mountHeat(root) {
  root.textContent = 'heat map';
}
