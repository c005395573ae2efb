module.exports = 'Hej'
